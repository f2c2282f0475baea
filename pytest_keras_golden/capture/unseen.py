"""What of Keras runs in a test and is not looked into: counted by kind, and told.

A pass must not be taken for more than it is: a test that only trains, evaluates a loss or computes
with `keras.ops` had none of its numbers compared.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ..outcomes import OPERATIONS
from .backends import is_concrete, is_traced
from .tap.precision import tensors_of
from .watch import patches
from .watch.calls import is_layer, is_symbolic, subclasses
from .watch.patches import Patch, Run

Busy = Callable[[], bool]
"""Whether a call is under way that is looked into, with everything inside it."""

PIPELINE, THREADS, SHARED = "data pipelines", "other threads", "shared fixtures"

_OPS = ("core", "einops", "image", "linalg", "math", "nn", "numpy")
_SYMBOLIC = "any_symbolic_tensors"
"""What every function of `keras.ops` asks first. The functions themselves are left as they are:
Keras and its users look them up by identity."""

_CALLER = 4
"""Frames from `_kind` to whoever called a function of `keras.ops`."""


class Unseen:
    """Stands behind losses, metrics, optimizers, operations, and layers where no watch is told.

    One per session; `counting` says which test's calls are counted.
    """

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._counts: Counter[str] | None = None
        self._busy: Busy = lambda: False
        self._inside = self._shares = False
        self._opened: list[Patch] = []

    def watch(self) -> None:
        """From now on, as soon as Keras is there."""
        if self._opened or "keras" not in sys.modules:
            return
        self.thread = threading.get_ident()
        self._opened = patches.watch(list(_places()), self)

    def close(self) -> None:
        patches.unwatch(self._opened, self)
        self._opened = []

    @contextmanager
    def counting(self, counts: Counter[str], busy: Busy) -> Iterator[None]:
        """Count what runs inside while nothing that is looked into does."""
        before = self._counts, self._busy
        self._counts, self._busy = counts, busy
        try:
            yield
        finally:
            self._counts, self._busy = before

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        counts = self._counts
        kind = None if counts is None or self._inside else self._kind(method, args, kwargs)
        if counts is None or kind is None:
            return run(*args, **kwargs)
        counts[kind] += 1
        self._inside = True
        try:
            return run(*args, **kwargs)
        finally:
            self._inside = False

    def elsewhere(self, method: str) -> None:
        """Told of calls in threads that nobody watches."""
        if self._counts is not None and method == "__call__":
            self._counts[THREADS] += 1

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Layers that are called inside belong to no one test: no other watcher is told."""
        before, self._shares = self._shares, True
        try:
            with patches.alone(self):
                yield
        finally:
            self._shares = before

    def _kind(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if method == "__call__" and is_layer(args[0]):
            return self._layer([args[1:], kwargs])
        if self._busy():
            return None
        if method != _SYMBOLIC:
            return _family(args[0])
        caller = str(sys._getframe(_CALLER).f_globals.get("__name__", ""))
        return None if is_symbolic(args) or caller.startswith("keras.") else OPERATIONS

    def _layer(self, given: Any) -> str | None:
        """Watches look into calls on numbers, and on what is traced."""
        if is_symbolic(given):
            return None
        if self._shares:
            return SHARED
        # Others without numbers are torch's, on the meta device: shapes are worked out with them.
        foreign = [x for x in tensors_of(given) if type(x).__module__.startswith("tensorflow")]
        unreadable = [x for x in foreign if not is_concrete(x) and not is_traced(x)]
        return PIPELINE if unreadable else None


def _family(target: Any) -> str | None:
    """None of what only shares a class with them, as modules of torch do with layers."""
    import keras

    families = {
        "losses": keras.losses.Loss,
        "metrics": keras.metrics.Metric,
        "optimizers": keras.optimizers.Optimizer,
    }
    return next((name for name, kind in families.items() if isinstance(target, kind)), None)


def _places() -> Iterator[tuple[Any, str]]:
    import keras

    wanted = (
        (keras.losses.Loss, ("__call__",)),
        (keras.metrics.Metric, ("__call__", "update_state")),
        (keras.optimizers.Optimizer, ("apply", "apply_gradients")),
        (keras.layers.Layer, ("__call__",)),
    )
    for base, names in wanted:
        for owner in dict.fromkeys(k for kind in subclasses(base) for k in kind.__mro__):
            yield from ((owner, name) for name in names if name in _own(owner))
    for name in _OPS:
        try:
            module = import_module(f"keras.src.ops.{name}")
        except ImportError:
            continue
        if _SYMBOLIC in vars(module):
            yield module, _SYMBOLIC


def _own(owner: type) -> frozenset[str]:
    return frozenset(vars(owner)) if owner is not object else frozenset()
