"""Inputs made without a user: several cases, the same on every release, backend and machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contents import SavedContents
from .description import Description, InputSpec
from .ranges import Ids, Interval, Mask, Range, Words, range_of

if TYPE_CHECKING:
    from ...records import Array

BATCH, LENGTH, SIDE = 3, 8, 32
"""Sizes where a model leaves them open: of a batch, of a sequence, of an image."""

FAR = 8.0
"""How far extremes go where nothing bounds an input, in standard deviations."""

LARGEST_INPUT = 64 << 20
"""Elements."""


@dataclass(frozen=True, slots=True)
class InputCase:
    """One call. arrays: input → array. nest: how the call takes them (see `Description`)."""

    name: str
    arrays: Mapping[str, Array]
    nest: Any

    @property
    def argument(self) -> Any:
        return _filled(self.nest, self.arrays)


def _filled(nest: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(nest, str):
        return arrays[nest]
    if isinstance(nest, Mapping):
        return {key: _filled(item, arrays) for key, item in nest.items()}
    return [_filled(item, arrays) for item in nest]


def made_cases(described: Description, contents: SavedContents | None) -> list[InputCase]:
    """`ordinary`; `padded`, all padding but one, where a model takes sequences; and `extremes`."""
    ranges = {name: range_of(spec, contents) for name, spec in described.inputs.items()}
    pads = any(_is_sequence(spec, ranges[name]) for name, spec in described.inputs.items())
    cases = ("ordinary", "padded", "extremes") if pads else ("ordinary", "extremes")
    return [_case(name, described, ranges) for name in cases]


def _case(case: str, described: Description, ranges: Mapping[str, Range]) -> InputCase:
    arrays = {}
    for name, spec in described.inputs.items():
        shape = _shape(spec, ranges[name])
        arrays[name] = _Maker(case, name, shape).of(ranges[name], spec.dtype)
    return InputCase(case, _padded(case, arrays, ranges), described.nest)


def _is_sequence(spec: InputSpec, kind: Range) -> bool:
    return len(spec.shape) == 2 and isinstance(kind, (Mask, Ids)) and spec.shape[1] != 1


def _shape(spec: InputSpec, kind: Range) -> tuple[int, ...]:
    rest = spec.shape[1:]
    open_size = SIDE if len(rest) >= 3 else LENGTH
    if isinstance(kind, Words) and rest == (None,):
        open_size = 1
    shape = (spec.shape[0] or BATCH, *(open_size if size is None else size for size in rest))
    if math.prod(shape) > LARGEST_INPUT:
        return (1, *shape[1:])
    return shape


class _Maker:
    """Numbers from Philox, keyed by the case, the input's name and its shape."""

    def __init__(self, case: str, name: str, shape: tuple[int, ...]) -> None:
        self._case, self._name, self._shape = case, name, shape

    def of(self, kind: Range, dtype: str) -> Array:
        import ml_dtypes
        import numpy as np

        if isinstance(kind, Words):
            return self._texts(kind)
        if isinstance(kind, Mask):
            return np.asarray(_lengths(self._shape, self._case).astype(dtype))
        values = self._ids(kind) if isinstance(kind, Ids) else self._numbers(kind)
        return np.asarray(values.astype(getattr(ml_dtypes, dtype, dtype)))

    def _unit(self) -> Array:
        """Of [0, 1), exact: raw words of 23 bits."""
        import numpy as np

        key = hashlib.sha256(f"{self._case}:{self._name}:{list(self._shape)}".encode()).digest()
        generator = np.random.Philox(key=int.from_bytes(key[:16], "little"))
        words = np.asarray(generator.random_raw(math.prod(self._shape)), np.uint64)
        unit: Array = (words >> np.uint64(41)).astype(np.float64) * 2.0**-23
        return unit.reshape(self._shape)

    def _ids(self, kind: Ids) -> Any:
        import numpy as np

        if self._case == "extremes":
            return np.where(_alternating(self._shape), kind.count - 1, kind.first)
        unit: Any = self._unit()
        return (kind.first + np.floor(unit * (kind.count - kind.first))).astype(np.int64)

    def _numbers(self, kind: Interval) -> Any:
        import numpy as np

        low, high = (_fitting(end, self._shape) for end in (kind.low, kind.high))
        if self._case != "extremes":
            return low + self._unit() * (high - low)
        far = FAR / math.sqrt(3.0) if kind.open else 1.0
        return np.where(_alternating(self._shape), high * far, low * far)

    def _texts(self, kind: Words) -> Array:
        import numpy as np

        units = self._unit().reshape(-1)
        texts = [_text(kind, unit, at, self._case) for at, unit in enumerate(units)]
        return np.array(texts, dtype=object).reshape(self._shape)


def _fitting(end: Any, shape: tuple[int, ...]) -> Any:
    import numpy as np

    values = np.asarray(end, np.float64)
    if values.ndim == 1 and values.size not in (1, shape[-1]):
        return values.mean()
    return values


def _alternating(shape: tuple[int, ...]) -> Any:
    import numpy as np

    return (np.indices(shape, sparse=False).sum(axis=0) % 2).astype(bool)


def _text(kind: Words, unit: Any, at: int, case: str) -> str:
    words = kind.vocabulary
    start = int(unit * len(words))
    if case == "extremes":
        # A word that no vocabulary has, none at all, and the last one.
        return ("zzyzx-unknown", "", words[-1])[at % 3]
    if not kind.several:
        return words[start]
    count = 1 if case == "padded" else 2 + at % 5
    return " ".join(words[(start + step) % len(words)] for step in range(count))


def _lengths(shape: tuple[int, ...], case: str) -> Any:
    """True up to each row's length: whole, shorter, of one position."""
    import numpy as np

    size = shape[-1]
    lengths = [size if row % 3 == 0 else max(1, size - 1 - row) for row in range(shape[0])]
    if case == "padded":
        lengths = [1] * shape[0]
    mask = np.arange(size)[None, :] < np.array(lengths)[:, None]
    return np.broadcast_to(mask.reshape(shape[0], *([1] * (len(shape) - 2)), size), shape)


def _padded(case: str, arrays: dict[str, Array], ranges: Mapping[str, Range]) -> dict[str, Array]:
    """Ids are 0 where the mask says padding, or where the case does and 0 is what pads."""
    import numpy as np

    masks = [name for name, kind in ranges.items() if isinstance(kind, Mask)]
    for name, kind in ranges.items():
        array = arrays[name]
        if not isinstance(kind, Ids) or array.ndim != 2 or case == "extremes":
            continue
        if masks and arrays[masks[0]].shape == array.shape:
            real = arrays[masks[0]].astype(bool)
        elif kind.first or case == "padded":
            real = _lengths(array.shape, case)
        else:
            continue
        arrays[name] = np.where(real, array, np.zeros_like(array))
    return arrays
