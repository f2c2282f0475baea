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
from types import FrameType
from typing import Any

import numpy as np

from ...compare.calls import FUNCTION, VALUES
from ...store.digest import digest
from ..backends import active, to_numpy, untraced
from .shared import is_shared
from .standing import Function, StandIns

_SEED, _MANY = 17, 64


class _Functions:
    """Of the process: watched while any block is open."""

    def __init__(self) -> None:
        self.called: Counter[str] = Counter()
        self._drawn: dict[str, str] = {}
        self._open = 0
        self._standing = StandIns()
        self._lock = threading.RLock()

    def begin(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1 and not is_shared() and "keras" in sys.modules:
                self._standing.stand_in(_PROBES.keys(), self._counted)

    def end(self) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                self._standing.step_back()

    def _counted(self, name: str, original: Function) -> Function:
        @wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not (_is_dynamo() or _draws_weights()):
                self.called[name] += 1
            return original(*args, **kwargs)

        return counted

    def drawn(self, name: str) -> str | None:
        """Digest of what a function draws of one seed; None where it draws nothing by itself."""
        if name not in self._drawn:
            before = Counter(self.called)
            with untraced():
                found = _digest(name)
            self.called = before
            if found is None:
                return None
            self._drawn[name] = found
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


def drawn_since(before: Mapping[str, int], advanced: bool) -> dict[str, str]:
    """Name of each function called since then → digest of what it draws of one seed. advanced: a
    generator was; where no function was called, a program that was traced before has drawn, by any
    function that was ever called."""
    if is_shared():
        return {}
    now = {name for name, count in _FUNCTIONS.called.items() if count > before.get(name, 0)}
    ever = _FUNCTIONS.called.keys() if advanced else set[str]()
    drawn = {name: _FUNCTIONS.drawn(name) for name in sorted(now or ever)}
    return {f"{FUNCTION}{name}": key for name, key in drawn.items() if key is not None}


def _is_dynamo() -> bool:
    """Whether torch is compiling the caller, which would guard on what is counted."""
    torch = sys.modules.get("torch")
    return torch is not None and active() == "torch" and bool(torch.compiler.is_compiling())


def _draws_weights() -> bool:
    """Whether an initializer calls: weights are told apart by themselves."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(2):
        if frame is None:
            return False
        if frame.f_globals.get("__name__", "").startswith("keras.src.initializers"):
            return True
        frame = frame.f_back
    return False


def _digest(name: str) -> str | None:
    from keras.src import backend

    try:
        value = _PROBES[name](getattr(backend.random, name))
    except Exception:
        # It needs more in this release, the backend lacks it, or a program is being traced.
        return None
    if name == "dropout":
        # Which numbers are dropped is drawn; what it makes of the others is its meaning.
        kept = np.unique(value[value != 0].astype(np.float32))
        return f"{_of_whole(value != 0)}{VALUES}{digest(np.ascontiguousarray(kept))}"
    return _of_whole(value)


def _of_whole(value: Any) -> str:
    return digest(np.ascontiguousarray(value.reshape(-1)).astype(np.int32))


def _order(drawn: Any) -> Any:
    """Of numbers that are rounded otherwise elsewhere, which are larger than which."""
    return np.argsort(to_numpy(drawn).astype(np.float64), kind="stable")


_ONE: dict[str, Any] = {"seed": _SEED, "dtype": "float32"}

_PROBES: dict[str, Callable[[Function], Any]] = {
    "uniform": lambda draw: _order(draw((_MANY,), **_ONE)),
    "normal": lambda draw: _order(draw((_MANY,), **_ONE)),
    "truncated_normal": lambda draw: _order(draw((_MANY,), **_ONE)),
    "gamma": lambda draw: _order(draw((_MANY,), 2.0, **_ONE)),
    "beta": lambda draw: _order(draw((_MANY,), 2.0, 3.0, **_ONE)),
    "binomial": lambda draw: to_numpy(draw((_MANY,), 40.0, 0.5, **_ONE)),
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
