"""What chance made, carried from the old side of a gate to the new one: initial weights, and
numbers that a test draws from Keras.

Initializers may draw other numbers under the same seed in another release, and a suite that takes
its weights from them could not be compared. They are exchanged as they are drawn, so that
everything a test makes of them, by training, saving or assigning, is the new release's own work:
what is loaded, assigned, trained or computed is never carried over.
"""

from __future__ import annotations

import math
import re
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...names import golden_folder
from ...store.digest import digest
from ..backends import from_numpy, is_concrete, to_numpy, untraced, view
from ..stream.shared import share, unshare
from ..watch import patches
from ..watch.calls import subclasses
from ..watch.patches import Run
from .keepsakes import load_arrays, save_arrays

if TYPE_CHECKING:
    from ...records import Array

CarryMode = Literal["save", "load"]

FUNCTIONS = (
    *("normal", "uniform", "truncated_normal", "randint", "categorical"),
    *("gamma", "binomial", "beta", "dropout", "shuffle"),
)
"""Of `keras.random`: what a test may draw its inputs with."""

WEIGHTS = "initial weights"
OTHERWISE = "initial weights that are drawn from another distribution now"
"""Kinds of what is carried over. The second is a change of the initializer: told, and no reason to
leave what the weights are used for unmeasured."""

ONE_STREAM = "one stream of random numbers"
"""What both sides drew from, in place of their backends' own."""

SIGMAS = 6.0
"""Standard errors by which mean or spread must differ for a draw to be of another distribution."""


@dataclass
class Scope:
    """Whose draws these are: a test's, a fixture's, a module's. kept: key → what was drawn, to be
    saved, or as it was saved. counts: how often a key was asked for. carried: what was exchanged,
    by kind."""

    file: Path
    kept: dict[str, Array]
    counts: dict[str, int] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)

    def key(self, name: str) -> str:
        count = self.counts[name] = self.counts.get(name, -1) + 1
        return f"{name}#{count}"


class Draws:
    """Stands behind the births of Keras variables and the functions of `keras.random`.

    folder: one file for each scope. shared: layers and initializers draw from the stream that
    every backend has.
    """

    def __init__(self, mode: CarryMode, folder: Path, shared: bool = False) -> None:
        self.thread = threading.get_ident()
        self._mode = mode
        self._folder = folder
        self._shared = shared
        self._scopes: list[Scope] = []
        self._born: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._exchanged: set[int] = set()
        self._busy = False
        self._watches: list[patches.Patch] = []

    # -- scopes -----------------------------------------------------------------------------

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Draws inside belong to the test, fixture or module of that node id."""
        file = self._folder / golden_folder(name) / "draws.safetensors"
        scope = Scope(file, load_arrays(file)[0] if self._mode == "load" else {})
        self._scopes.append(scope)
        self.watch()
        try:
            yield
        finally:
            self._scopes.remove(scope)
            if self._mode == "save" and scope.kept:
                save_arrays(file, scope.kept)

    def watch(self) -> None:
        """From now on for the whole session, as soon as Keras is there."""
        if self._watches or "keras" not in sys.modules:
            return
        self.thread = threading.get_ident()
        if self._shared:
            share()
        self._watches = patches.watch(list(_places()), self)

    def close(self) -> None:
        patches.unwatch(self._watches, self)
        self._watches = []
        unshare()

    # -- what is drawn ----------------------------------------------------------------------

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if self._busy or not self._scopes:
            return run(*args, **kwargs)
        self._busy = True
        try:
            if method in FUNCTIONS:
                return self._function(method, run, args, kwargs)
            returned = run(*args, **kwargs)
            with untraced():
                self._born_now(args[0], args[1:], kwargs)
            return returned
        finally:
            self._busy = False

    def _function(self, method: str, run: Run, args: Any, kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        drawn = run(*args, **kwargs)
        # Inside a layer a draw is the layer's own: its seeds are carried over, not its numbers.
        if _in_layer() or not is_concrete(drawn):
            return drawn
        value = to_numpy(drawn)
        other = self._other(f"{method}:{_form(value)}", value)
        if other is None or not same_distribution(other, value):
            return drawn
        self._scopes[-1].carried.add("random inputs")
        return from_numpy(other, drawn)

    def _born_now(self, variable: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        initializer = kwargs.get("initializer", args[0] if args else None)
        if getattr(variable, "_value", None) is None or not is_concrete(variable):
            # Made inside a program: `_deferred_initialize` comes later, or nobody can look.
            return
        if args or kwargs:
            if not (callable(initializer) or isinstance(initializer, str)):
                return
            if _name(variable).endswith("seed_generator_state"):
                return
        value = to_numpy(variable)
        self._remember(variable, value)
        other = self._other(f"{_name(variable)}:{_form(value)}", value)
        kind = None if other is None else kind_of(other, value)
        if other is not None and kind is not None:
            assign(variable, other)
            self.exchanged(variable)
            self._scopes[-1].carried.add(kind)

    def exchanged(self, variable: Any) -> None:
        """The variable holds now what the old side's initializer drew for it."""
        self._remember(variable, to_numpy(variable))
        self._exchanged.add(id(variable))

    def _remember(self, variable: Any, value: Array) -> None:
        # Another variable may have had this one's id.
        self._exchanged.discard(id(variable))
        self._born[id(variable)] = weakref.ref(variable), digest(value)

    def _other(self, name: str, value: Array) -> Array | None:
        """What the old side drew here, where that is of the same form and not the same."""
        scope = self._scopes[-1]
        key = scope.key(name)
        if self._mode == "save":
            scope.kept[key] = value
            return None
        kept = in_form_of(value, scope.kept.get(key))
        return None if kept is None or kept.tobytes() == value.tobytes() else kept

    # -- what is asked of it ----------------------------------------------------------------

    @property
    def carried(self) -> frozenset[str]:
        """What was exchanged in the newest scope."""
        return frozenset(self._scopes[-1].carried) if self._scopes else frozenset()

    def is_drawn(self, variable: Any) -> bool:
        """Whether a variable still holds what its initializer drew."""
        reference, key = self._born.get(id(variable), (None, ""))
        return reference is not None and reference() is variable and digest(view(variable)) == key

    def was_exchanged(self, variable: Any) -> bool:
        """Whether it still holds what the old side's initializer drew, in place of its own."""
        return id(variable) in self._exchanged and self.is_drawn(variable)


ONE_DRAW = 0.999
"""Correlation from which two draws are one and the same; of two drawn apart it is about 1/√n."""
ROUNDED = 0.02
"""Of a draw's spread: how far bfloat16 moves its elements."""


def in_form_of(value: Array, kept: Array | None) -> Array | None:
    """What was kept, rounded to the precision that there is now: a policy decides in which one
    weights are held. None where it is of another form."""
    if kept is None or _form(kept) != _form(value):
        return None
    return kept.astype(value.dtype)


def _form(value: Array) -> str:
    """Shape and dtype; real numbers are of one kind in every precision."""
    kind = "real" if is_real(value.dtype) else value.dtype
    return f"{kind}{list(value.shape)}"


def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether of floating point numbers; ml_dtypes' are of no kind that numpy knows."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def kind_of(kept: Array, value: Array) -> str | None:
    """As what an initial value of the old side is carried over; None where it is not, since one of
    the two is a constant: another constant is no other draw."""
    if same_distribution(kept, value):
        return WEIGHTS
    drawn = all(array.size > 1 and np.ptp(array.astype(np.float64)) for array in (kept, value))
    return OTHERWISE if drawn else None


def same_distribution(one: Array, other: Array) -> bool:
    """Whether two draws may be of one distribution, as far as their means and spreads tell.

    What an initializer's new scale makes of weights is a change of Keras, no other draw.
    """
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    spreads = float(a.std()), float(b.std())
    if a.size < 2 or not all(spreads):
        # Constants: another one is another initializer.
        return bool(a.size == 1 or (spreads == (0.0, 0.0) and a[0] == b[0]))
    alike = float(np.mean((a - a.mean()) * (b - b.mean()))) / (spreads[0] * spreads[1])
    if a.size > 2 and alike > ONE_DRAW:
        # The same draw, rounded otherwise at most: scaled or shifted, the initializer is another.
        return bool(np.abs(a - b).max() <= ROUNDED * max(spreads))
    # Standard errors of a mean, s/√n, and of the logarithm of a spread, 1/√(2n), both of two draws.
    pooled = math.hypot(*spreads) / math.sqrt(2.0)
    same_mean = abs(float(a.mean() - b.mean())) <= SIGMAS * pooled * math.sqrt(2.0 / a.size)
    return same_mean and abs(math.log(spreads[0] / spreads[1])) <= SIGMAS / math.sqrt(a.size)


def assign(variable: Any, value: Array) -> None:
    """bfloat16 arrays are not taken everywhere; in float32 they are exact."""
    low = value.dtype.kind not in "biu" and value.dtype.itemsize < 4
    variable.assign(value.astype(np.float32) if low else value)


def _name(variable: Any) -> str:
    """Names of the layer and the weight, without the numbers of automatic names."""
    parts = str(getattr(variable, "path", variable.name)).split("/")[-2:]
    return "/".join(re.sub(r"_\d+$", "", part) for part in parts)


def _in_layer() -> bool:
    from keras.src.backend.common import global_state

    return global_state.get_global_attribute("current_call_ctx") is not None


def _places() -> Iterator[tuple[Any, str]]:
    import keras
    from keras.src.backend.common import variables

    # `KerasVariable` through 3.6.
    base = getattr(variables, "KerasVariable", None) or variables.Variable
    for owner in subclasses(base):
        names = ("__init__", "_deferred_initialize")
        yield from ((owner, name) for name in names if name in vars(owner))
    yield from ((keras.random, name) for name in FUNCTIONS if name in vars(keras.random))
