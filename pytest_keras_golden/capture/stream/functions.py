"""By which functions of its backend Keras draws, and what each of them draws of one seed.

The state of a generator says which numbers come next only as long as everybody makes the same
numbers of it: jax 0.5 makes others than 0.4 did. So what a function draws of a seed is kept beside
the states, in a form that rounding leaves alone.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np

from ...compare.calls import FUNCTION
from ...store.digest import digest
from ..backends import to_numpy, untraced
from .shared import Original, is_shared

_SEED, _MANY = 17, 64


class _Functions:
    """Of the process: watched while any block is open."""

    def __init__(self) -> None:
        self.called: Counter[str] = Counter()
        self._drawn: dict[str, str | None] = {}
        self._open = 0
        self._replaced: list[tuple[Any, str, Original]] = []
        self._lock = threading.RLock()

    def begin(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1 and not is_shared() and "keras" in sys.modules:
                self._watch()

    def end(self) -> None:
        with self._lock:
            self._open -= 1
            while not self._open and self._replaced:
                setattr(*self._replaced.pop())

    def _watch(self) -> None:
        from keras.src import backend

        for name in _PROBES.keys() & vars(backend.random).keys():
            original = getattr(backend.random, name)
            self._replaced.append((backend.random, name, original))
            setattr(backend.random, name, self._counted(name, original))

    def _counted(self, name: str, original: Original) -> Original:
        @wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            self.called[name] += 1
            return original(*args, **kwargs)

        return counted

    def drawn(self, name: str) -> str | None:
        """Digest of what a function draws of one seed; None where it draws nothing by itself."""
        if name not in self._drawn:
            before = Counter(self.called)
            with untraced():
                self._drawn[name] = _digest(name)
            self.called = before
        return self._drawn[name]


_FUNCTIONS = _Functions()


@contextmanager
def listening() -> Iterator[None]:
    """Functions that are called inside are counted, by whatever thread or program."""
    _FUNCTIONS.begin()
    try:
        yield
    finally:
        _FUNCTIONS.end()


def called() -> Mapping[str, int]:
    """How often each function was called so far."""
    return dict(_FUNCTIONS.called)


def drawn_since(before: Mapping[str, int]) -> dict[str, str]:
    """Name of each function called since then → digest of what it draws of one seed. Where none
    was, a program that was traced before has drawn: by any function that was ever called."""
    if is_shared():
        return {}
    now = {name for name, count in _FUNCTIONS.called.items() if count > before.get(name, 0)}
    drawn = {name: _FUNCTIONS.drawn(name) for name in sorted(now or _FUNCTIONS.called.keys())}
    return {f"{FUNCTION}{name}": key for name, key in drawn.items() if key is not None}


def _digest(name: str) -> str | None:
    from keras.src import backend

    try:
        value = _PROBES[name](getattr(backend.random, name))
    except Exception:
        # It needs more in this release, or the backend lacks it.
        return None
    return digest(np.ascontiguousarray(value.reshape(-1)).astype(np.int32))


def _order(drawn: Any) -> Any:
    """Of numbers that are rounded otherwise elsewhere, which are larger than which."""
    return np.argsort(to_numpy(drawn).astype(np.float64), kind="stable")


_PROBES: dict[str, Callable[[Original], Any]] = {
    "uniform": lambda draw: _order(draw((_MANY,), seed=_SEED)),
    "normal": lambda draw: _order(draw((_MANY,), seed=_SEED)),
    "truncated_normal": lambda draw: _order(draw((_MANY,), seed=_SEED)),
    "gamma": lambda draw: _order(draw((_MANY,), 2.0, seed=_SEED)),
    "beta": lambda draw: _order(draw((_MANY,), 2.0, 3.0, seed=_SEED)),
    "binomial": lambda draw: to_numpy(draw((_MANY,), 40.0, 0.5, seed=_SEED)),
    "randint": lambda draw: to_numpy(draw((_MANY,), 0, 1 << 20, seed=_SEED)),
    "shuffle": lambda draw: to_numpy(draw(_tensor(np.arange(_MANY, dtype=np.int32)), seed=_SEED)),
    "dropout": lambda draw: to_numpy(draw(_tensor(np.ones(_MANY, np.float32)), 0.5, seed=_SEED)),
    "categorical": lambda draw: to_numpy(
        draw(_tensor(np.zeros((1, 8), np.float32)), _MANY, seed=_SEED)
    ),
}


def _tensor(array: Any) -> Any:
    from keras.src import backend

    return backend.convert_to_tensor(array)
