"""Weights and random states of one run, carried over to another by structural name.

Beside `draws`, which exchanges initial weights as they are drawn: a release may draw them in
another order. Only what initializers drew, on both sides, is carried over, and the states of random
generators; whatever was loaded, assigned or trained is the subject of the test.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from ...errors import CaptureError
from ..backends import is_concrete, to_numpy
from ..tap.precision import is_eager
from ..watch import patches
from ..watch.calls import is_symbolic, subclasses
from ..watch.patches import Run
from ..watch.structure import snake_case
from .draws import (
    OTHERWISE,
    WEIGHTS,
    CarryMode,
    Draws,
    assign,
    in_form_of,
    is_real,
    kind_of,
)
from .fingerprints import named_seeds
from .keepsakes import load_arrays, save_arrays
from .weights import named_weights, numeric_digest

if TYPE_CHECKING:
    from ...records import Array

_PRECISIONS = tuple(np.dtype(t) for t in (ml_dtypes.bfloat16, np.float16, np.float32, np.float64))

READING = frozenset({"save", "save_weights", "get_weights", "export"})
METHODS = (
    *("predict", "predict_on_batch", "test_on_batch", "train_on_batch"),
    *("fit", "evaluate", "generate", *sorted(READING)),
)
"""What is called on a model beside itself; weights are carried over before these too."""


class Transplant:
    """Saves, or puts in, what each outermost call of a test finds. Stands outside of captures.

    carried: what was put in, by kind.
    """

    outside = True

    def __init__(self, mode: CarryMode, file: Path, draws: Draws) -> None:
        self.thread = threading.get_ident()
        self.carried: set[str] = set()
        self._mode = mode
        self._file = file
        self._draws = draws
        self._kept, self._drawn = load_arrays(file) if mode == "load" else ({}, frozenset[str]())
        self._marks: set[str] = set()
        self._roots: dict[int, tuple[str, weakref.ref[Any]]] = {}
        self._classes: dict[str, int] = {}
        self._calls: dict[str, int] = {}
        self._inside = 0

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        target, rest = args[0], args[1:]
        if self._inside or is_symbolic(rest) or is_symbolic(kwargs):
            return run(*args, **kwargs)
        if method == "__call__" and not is_eager(rest, kwargs):
            return run(*args, **kwargs)
        with self._within():
            new = id(target) not in self._roots
            name = self._root(target)
            if new:
                self._weights(name, target)
            exchanged = self._exchanged(target)
            with self._seeds(name, target):
                returned = run(*args, **kwargs)
            if new:
                # Those too that the first call made.
                self._weights(name, target, late=True)
                exchanged = exchanged or self._exchanged(target)
            if exchanged and method not in READING:
                self.carried.add(WEIGHTS)
            return returned

    @contextmanager
    def _within(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _root(self, target: Any) -> str:
        known = self._roots.get(id(target))
        if known is not None and known[1]() is target:
            return known[0]
        snake = snake_case(type(target).__name__)
        count = self._classes[snake] = self._classes.get(snake, -1) + 1
        name = snake if count == 0 else f"{snake}#{count}"
        key = id(target)
        # A freed one's id could come again.
        self._roots[key] = name, weakref.ref(target, lambda _: self._roots.pop(key, None))
        return name

    # -- weights ----------------------------------------------------------------------------

    def _weights(self, name: str, target: Any, late: bool = False) -> None:
        for key, variable in named_weights(target).items():
            self._weight(f"weights/{name}/{key}", variable, late)

    def _weight(self, key: str, variable: Any, late: bool) -> None:
        value = _on_host(variable)
        if value is None:
            return
        if self._mode == "save":
            if key not in self._kept:
                self._kept[key] = value
                self._marks |= {key} if self._draws.is_drawn(variable) else set()
        elif not late and self._is_another_draw(key, variable, value):
            kept = in_form_of(value, self._kept[key])
            kind = None if kept is None else kind_of(kept, value)
            if kept is not None and kind is not None:
                assign(variable, kept)
                self._draws.exchanged(variable)
                if kind == OTHERWISE:
                    self.carried.add(kind)

    def _exchanged(self, target: Any) -> bool:
        """Whether a call runs with anything that the old side's initializers drew."""
        if WEIGHTS in self.carried or self._mode == "save":
            return False
        return any(map(self._draws.was_exchanged, named_weights(target).values()))

    def _is_another_draw(self, key: str, variable: Any, value: Array) -> bool:
        return (
            key in self._drawn
            and _differs(value, self._kept.get(key))
            and self._draws.is_drawn(variable)
        )

    # -- random states ----------------------------------------------------------------------

    @contextmanager
    def _seeds(self, name: str, target: Any) -> Iterator[None]:
        """The states from which the call inside draws; told where it does draw from one of them."""
        count = self._calls[name] = self._calls.get(name, -1) + 1
        put_in = []
        for place, state in named_seeds(target):
            key, value = f"seeds/{name}@{count}/{place}", _on_host(state)
            if value is None:
                continue
            if self._mode == "save":
                self._kept[key] = value
                continue
            kept = _as_seed(self._kept.get(key), value)
            if _differs(value, kept):
                state.assign(kept)
                put_in.append((state, kept))
        yield
        if any(_differs(_on_host(state), before) for state, before in put_in):
            self.carried.add("random states")

    def roundings(self) -> dict[str, set[str]]:
        """Of the old side's weights in every other precision: digest → digests as they were kept.

        Zeros of a layer with a policy of its own are in every precision those of any other layer.
        """
        found: dict[str, set[str]] = {}
        kept = [v for k, v in self._kept.items() if k.startswith("weights/") and is_real(v.dtype)]
        for value in kept:
            for dtype in _PRECISIONS:
                if value.dtype != dtype:
                    rounded = numeric_digest(value.astype(dtype))
                    found.setdefault(rounded, set()).add(numeric_digest(value))
        return found

    def close(self) -> None:
        """Write what was saved, whole or not at all."""
        if self._mode == "save" and self._kept:
            save_arrays(self._file, self._kept, self._marks)


def _on_host(tensor: Any) -> Array | None:
    """None for what holds no numbers now, or none that a golden could hold (text, ragged)."""
    if getattr(tensor, "_value", tensor) is None:
        return None
    try:
        return to_numpy(tensor) if is_concrete(tensor) else None
    except CaptureError:
        return None


def _as_seed(kept: Array | None, value: Array) -> Array | None:
    """The state of a generator as this backend holds one: each has another width for them."""
    if kept is None or kept.dtype.kind not in "iu" or value.dtype.kind not in "iu":
        return kept
    return kept.astype(value.dtype)


def _differs(value: Array | None, kept: Array | None) -> bool:
    """Whether there is something to put in: of the same form, other bits."""
    put_in = None if value is None else in_form_of(value, kept)
    return value is not None and put_in is not None and put_in.tobytes() != value.tobytes()


@contextmanager
def transplanting(mode: CarryMode, file: Path, draws: Draws) -> Iterator[Transplant]:
    """Save to `file`, or load from it, around the calls of models in this thread."""
    transplant = Transplant(mode, file, draws)
    opened = patches.watch(list(_places()), transplant)
    try:
        yield transplant
    finally:
        patches.unwatch(opened, transplant)
        transplant.close()


def _places() -> Iterator[tuple[Any, str]]:
    import keras

    layers = list(subclasses(keras.layers.Layer))
    yield from ((owner, "__call__") for owner in layers if "__call__" in vars(owner))
    # A backend's trainer is a class beside Layer that only models are made of.
    for owner in dict.fromkeys(base for layer in layers for base in layer.__mro__):
        yield from ((owner, name) for name in METHODS if name in vars(owner))
