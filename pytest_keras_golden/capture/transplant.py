"""Weights and call inputs of one run, carried over to another by structural name.

Initial weights change between releases under the same seed (MultiHeadAttention, 3.14.1 → 3.15.1):
without this a suite that takes its weights from initializers could not be compared across them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import CaptureError
from . import gates
from .backends import from_numpy, is_concrete, to_numpy
from .gates import Run
from .layers import is_eager
from .masks import masks_of, put_masks
from .state import unchanged
from .structure import snake_case, walk
from .watch import is_symbolic, subclasses
from .weights import named_inputs, named_weights

if TYPE_CHECKING:
    from ..records import Array

Mode = Literal["save", "load"]

METHODS = (
    *("predict", "predict_on_batch", "test_on_batch", "train_on_batch"),
    *("fit", "evaluate", "generate"),
)
"""What is called on a model beside itself; weights are carried over before these too."""

_STORED = frozenset(
    {"bool", "bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


class Transplant:
    """Saves, or puts in, what the first call of each root finds. Stands outside of captures.

    changed: something put in differed from what was there.
    """

    outside = True

    def __init__(self, mode: Mode, file: Path) -> None:
        self.thread = threading.get_ident()
        self.changed = False
        self._mode = mode
        self._file = file
        self._kept: dict[str, Array] = _load(file) if mode == "load" else {}
        self._roots: dict[int, tuple[str, Any]] = {}
        self._classes: dict[str, int] = {}
        self._calls: dict[str, int] = {}
        self._inside = 0

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        target, rest = args[0], args[1:]
        if self._inside or is_symbolic(rest) or is_symbolic(kwargs):
            return run(*args, **kwargs)
        eager = method == "__call__"
        if eager and not is_eager(rest, kwargs):
            return run(*args, **kwargs)
        with self.paused():
            name = self._root(target, rest, kwargs, eager)
            if eager:
                rest, kwargs = self._inputs(name, rest, kwargs)
            return run(target, *rest, **kwargs)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave calls inside alone: those of an isolating pass, say."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    # -- weights ----------------------------------------------------------------------------

    def _root(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], eager: bool) -> str:
        """The root's name; its weights are carried over the first time."""
        if id(target) in self._roots:
            return self._roots[id(target)][0]
        snake = snake_case(type(target).__name__)
        count = self._classes[snake] = self._classes.get(snake, -1) + 1
        name = snake if count == 0 else f"{snake}#{count}"
        # The object is kept: a freed one's id could come again.
        self._roots[id(target)] = name, target
        if eager and not _is_built(target):
            _build(target, args, kwargs)
        for key, variable in _variables(target):
            self._variable(f"weights/{name}/{key}", variable)
        return name

    def _variable(self, key: str, variable: Any) -> None:
        value = _on_host(variable)
        if value is None:
            return
        if self._mode == "save":
            self._kept[key] = value
        elif _differs(value, self._kept.get(key)):
            kept = self._kept[key]
            # bfloat16 arrays are not taken everywhere; in float32 they are exact.
            low = _is_low(kept)
            variable.assign(kept.astype(np.float32) if low else kept)
            self.changed = True

    # -- inputs -----------------------------------------------------------------------------

    def _inputs(
        self, root: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        count = self._calls[root] = self._calls.get(root, -1) + 1
        prefix = f"inputs/{root}@{count}"
        replaced: dict[int, Any] = {}
        for place, tensor in named_inputs(args, kwargs).items():
            value = _on_host(tensor)
            if value is None:
                continue
            if self._mode == "save":
                self._kept[prefix + place] = value
            elif _differs(value, self._kept.get(prefix + place)):
                replaced[id(tensor)] = from_numpy(self._kept[prefix + place], tensor)
        if not replaced:
            return args, kwargs
        self.changed = True
        return _with(args, replaced), _with(kwargs, replaced)

    # -- the file ---------------------------------------------------------------------------

    def close(self) -> None:
        """Write what was saved, whole or not at all."""
        if self._mode == "load" or not self._kept:
            return
        from safetensors.numpy import save_file

        stored = {key: value for key, value in self._kept.items() if value.dtype.name in _STORED}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        save_file({key: np.asarray(value, order="C") for key, value in stored.items()}, fresh)
        fresh.replace(self._file)


def _on_host(tensor: Any) -> Array | None:
    """None for what holds no numbers now, or none that a golden could hold (text, ragged)."""
    try:
        return to_numpy(tensor) if is_concrete(tensor) else None
    except CaptureError:
        return None


def _is_low(value: Array) -> bool:
    return value.dtype.kind not in "biu" and value.dtype.itemsize < 4


def _load(file: Path) -> dict[str, Array]:
    import ml_dtypes  # noqa: F401 (registers bfloat16, which loading needs)
    from safetensors.numpy import load_file

    return dict(load_file(file)) if file.exists() else {}


def _differs(value: Array, kept: Array | None) -> bool:
    """Whether there is something to put in: same shape and dtype, other bits."""
    if kept is None or (kept.shape, kept.dtype) != (value.shape, value.dtype):
        return False
    return kept.tobytes() != value.tobytes()


def _is_built(target: Any) -> bool:
    return all(getattr(layer, "built", True) for _, layer in walk(target))


def _build(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """One call for its variables alone: nobody sees it, and its state is put back.

    The generators that seeds of initial weights come from are left as building left them: put
    back, they would give the next layer the same weights.
    """
    held = masks_of(args, kwargs)
    with gates.unwatched(), unchanged([target], generators=False):
        target(*args, **kwargs)
    put_masks(held)


def _variables(target: Any) -> Iterator[tuple[str, Any]]:
    """Weights by structural name, and the seeds behind dropout, which follow the same draws."""
    yield from named_weights(target).items()
    for path, layer in walk(target):
        for at, generator in enumerate(vars(layer).get("_seed_generators") or ()):
            yield f"{path}/@seed{at}", generator.state


def _with(nest: Any, replaced: Mapping[int, Any]) -> Any:
    if id(nest) in replaced:
        return replaced[id(nest)]
    if isinstance(nest, dict):
        return {key: _with(value, replaced) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(_with(value, replaced) for value in nest))
    if isinstance(nest, (list, tuple)):
        return type(nest)(_with(value, replaced) for value in nest)
    return nest


@contextmanager
def transplanting(mode: Mode, file: Path) -> Iterator[Transplant]:
    """Save to `file`, or load from it, around the calls of models in this thread."""
    transplant = Transplant(mode, file)
    opened = gates.watch(list(_places()), transplant)
    try:
        yield transplant
    finally:
        gates.unwatch(opened, transplant)
        transplant.close()


def _places() -> Iterator[tuple[Any, str]]:
    import keras

    layers = list(subclasses(keras.layers.Layer))
    yield from ((owner, "__call__") for owner in layers if "__call__" in vars(owner))
    # A backend's trainer is a class beside Layer that only models are made of.
    for owner in dict.fromkeys(base for layer in layers for base in layer.__mro__):
        yield from ((owner, name) for name in METHODS if name in vars(owner))
