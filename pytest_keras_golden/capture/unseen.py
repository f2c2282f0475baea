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
from types import FrameType
from typing import Any

from ..outcomes import OPERATIONS, RANDOM
from .backends import is_concrete, is_traced
from .tap.precision import tensors_of
from .watch import patches
from .watch.calls import is_layer, is_symbolic, subclasses
from .watch.patches import Patch, Run

Busy = Callable[[], bool]
"""Whether a call is under way that is looked into, with everything inside it."""

PIPELINE, THREADS, SHARED = "data pipelines", "other threads", "shared fixtures"
TEARDOWN, ADAPT, IMPORT = "fixture teardown", "adapt", "import of the test module"

_OPS = ("core", "einops", "image", "linalg", "math", "nn", "numpy")
_SYMBOLIC = "any_symbolic_tensors"
"""What every function of `keras.ops` asks first. The functions themselves are left as they are:
Keras and its users look them up by identity."""

_DRAW = "draw_seed"
"""What every function of `keras.random` asks first, whatever the backend."""

_FAMILIES = {
    **{name: name for name in ("activations", "constraints", "initializers", "losses", "metrics")},
    **{name: name for name in ("optimizers", "regularizers")},
    "random": RANDOM,
    "ops": OPERATIONS,
}
"""Packages of Keras whose functions a test may call by themselves, and how that is told."""

_BETWEEN = frozenset(
    {"pytest_keras_golden", "contextlib", "functools", "jax", "tensorflow", "torch"}
)
"""Packages through which Keras calls itself."""

_MODELS = frozenset({"layers", "models", "trainers", "saving", "legacy", "applications"})
"""Packages whose code is a model's: what it computes is watched, or builds one."""


class Unseen:
    """Stands behind losses, metrics, optimizers, operations, and layers where no watch is told.

    One per session; `counting` says which test's calls are counted.
    """

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._counts: Counter[str] | None = None
        self._busy: Busy = lambda: False
        self._inside = False
        self._apart: str | None = None
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

    @contextmanager
    def importing(self, counts: Counter[str]) -> Iterator[None]:
        """While a test module is imported: all is one kind. Operations and draws are left out, with
        which nearly every module makes its constants, for tests without Keras, too."""
        seen: Counter[str] = Counter()
        with self.counting(seen, lambda: False), self.apart(IMPORT):
            try:
                yield
            finally:
                counts[IMPORT] += sum(n for k, n in seen.items() if k not in (OPERATIONS, RANDOM))

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
    def apart(self, kind: str) -> Iterator[None]:
        """Layers that are called inside belong to no one test, or come behind it: they count as of
        this kind, and no other watcher is told."""
        before, self._apart = self._apart, kind
        try:
            with patches.alone(self):
                yield
        finally:
            self._apart = before

    def _kind(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if method == "__call__" and is_layer(args[0]):
            return self._layer([args[1:], kwargs])
        if self._busy():
            return None
        if method == ADAPT:
            return ADAPT
        if method == _DRAW:
            return _spoken(sys._getframe())
        if method != _SYMBOLIC:
            return _family(args[0])
        return None if is_symbolic(args) else _spoken(sys._getframe())

    def _layer(self, given: Any) -> str | None:
        """Watches look into calls on numbers, and on what is traced."""
        if is_symbolic(given):
            return None
        if self._apart is not None:
            return self._apart
        # Others without numbers are torch's, on the meta device: shapes are worked out with them.
        foreign = [x for x in tensors_of(given) if type(x).__module__.startswith("tensorflow")]
        unreadable = [x for x in foreign if not is_concrete(x) and not is_traced(x)]
        return PIPELINE if unreadable else None


def _spoken(frame: FrameType | None) -> str | None:
    """By which of its packages a test called Keras, which is at this frame now: the outermost
    counts, as `activations` for the operations that those call; None inside a model."""
    kind = None
    while frame is not None:
        package, _, rest = str(frame.f_globals.get("__name__", "")).partition(".src.")
        if package in ("keras", "keras_hub"):
            family = rest.partition(".")[0]
            if family in _MODELS:
                return None
            kind = _FAMILIES.get(family, kind)
        elif package.partition(".")[0] not in _BETWEEN:
            return kind
        frame = frame.f_back
    return kind


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
        (keras.layers.Layer, ("__call__", ADAPT)),
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
    backend = import_module("keras.src.backend")
    for place, name in ((backend, _SYMBOLIC), (getattr(backend, "random", None), _DRAW)):
        if name in getattr(place, "__dict__", {}):
            yield place, name


def _own(owner: type) -> frozenset[str]:
    return frozenset(vars(owner)) if owner is not object else frozenset()
