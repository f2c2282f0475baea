"""Large tensors as evenly spread positions of them, and sums in which every element has a part.

Along each axis every 2ⁿ-th position is kept, counted from the last one, which a decoder predicts
from; rows (the last axis) stay whole where they can. What lies between is in the sums (see
`sketch`): where it changed by more than its tolerance everywhere, sums do as well; a change of few
elements is diluted in them by the root of how many share a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..records import Sample, lengths_at
from ..store.digest import digest
from . import floats
from .sketch import LEAST, MOST, folded, sketched

if TYPE_CHECKING:
    from ..records import Array, TensorEntry, TensorRecord

ROW = 1 << 18
"""Bytes of a row that is kept whole though it is more than there is room for."""

SMALL = 1 << 14
"""Bytes of a tensor that is kept whole whatever else there is."""


def fitting(records: Sequence[TensorRecord], room: int, whole: Iterable[str]) -> list[TensorRecord]:
    """The records, the large ones as samples, so that they come to about `room` bytes in all;
    none where they fit. whole: names of those that stay as they are."""
    kept = frozenset(whole)
    sizes = [record.value.nbytes for record in records]
    if sum(sizes) <= room:
        return list(records)
    share = max(SMALL, _share(sizes, room))
    return [
        record if size <= share or record.name in kept else sampled(record, share)
        for record, size in zip(records, sizes, strict=True)
    ]


def _share(sizes: Sequence[int], room: int) -> int:
    """The most bytes that each may have, so that all of them come to `room`: small ones leave what
    they do not need to the others."""
    left, waiting = room, sorted(sizes)
    while waiting and waiting[0] <= left // len(waiting):
        left -= waiting.pop(0)
    return left // max(1, len(waiting))


def sampled(record: TensorRecord, room: int) -> TensorRecord:
    """The record with a sample of at most `room` bytes, or of one row; as it is where its numbers
    are exact ones, of which each counts."""
    value = record.value
    if record.sample is not None or floats.is_exact(value.dtype) or not value.size:
        return record
    sums = sketched(value, _sums_in(room // 2))
    steps = _steps(record, room - sums.nbytes)
    if max(steps) == 1:
        return record
    kept = thinned(value, steps)
    exact = None if record.reference is None else thinned(record.reference, steps)
    sample = Sample(record.shape, steps, digest(kept), digest(sums))
    whole = record.digest or digest(value)
    return replace(record, value=kept, reference=exact, sample=sample, sums=sums, digest=whole)


def _sums_in(room: int) -> int:
    return min(MOST, max(LEAST, 1 << max(0, (room // 8).bit_length() - 1)))


def _steps(record: TensorRecord, room: int) -> tuple[int, ...]:
    """Powers of two, so that what two goldens keep of one tensor has positions in common."""
    shape, size = record.shape, record.value.dtype.itemsize
    steps = [1] * len(shape)
    while math.prod(lengths := lengths_at(shape, steps)) * size > room:
        row = lengths[-1] * size
        may = [at for at in _thinnable(record, len(shape)) if lengths[at] > 1]
        if not may and record.kind == "tensor" and row > max(room, ROW):
            may = [len(shape) - 1]
        if not may:
            break
        steps[max(may, key=lambda at: lengths[at])] *= 2
    return tuple(steps)


def _thinnable(record: TensorRecord, dimensions: int) -> list[int]:
    """Axes along which positions may be left out: of a vector its only one, else all but rows, and
    of maps of attention all but heads, which are told one by one."""
    if dimensions == 1:
        return [] if record.kind == "logits" else [0]
    heads = dimensions - 3 if _is_map(record.name) else dimensions
    return [at for at in range(dimensions - 1) if at != heads]


def _is_map(name: str) -> bool:
    return ":probabilities" in name


def thinned(array: Array, steps: Sequence[int], having: Sequence[int] | None = None) -> Array:
    """Every `steps`-th position along each axis, the last one among them, in C order.

    having: the steps at which the array itself was kept, divisors of `steps`; ones by default.
    """
    further = [step // had for step, had in zip(steps, having or (1,) * len(steps), strict=True)]
    if max(further, default=1) == 1:
        return array
    parts = (
        slice((length - 1) % step, None, step)
        for length, step in zip(array.shape, further, strict=True)
    )
    return np.array(array[tuple(parts)], order="C")


@dataclass(frozen=True, slots=True)
class Pair:
    """What can be compared of a tensor of a run and the golden's. steps: at which both are kept, of
    a tensor of that shape. sums: of both, None where both are whole."""

    actual: Array
    golden: Array
    reference: Array | None
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    sums: tuple[Array, Array] | None = None

    def at(self, index: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Where an element of `actual` is in the whole tensor; of its first axes, some index."""
        if index is None:
            return None
        places = zip(index, self.shape, self.steps, strict=False)
        return tuple((length - 1) % step + at * step for at, length, step in places)

    def within(self, place: tuple[int, ...]) -> tuple[int, ...]:
        """Where `actual` has what is there in the whole tensor."""
        places = zip(place, self.shape, self.steps, strict=False)
        return tuple((at - (length - 1) % step) // step for at, length, step in places)

    @property
    def note(self) -> str | None:
        """How much was looked at, where that is not everything."""
        if self.sums is None:
            return None
        return (
            f"compared in {self.actual.size:,} of its {math.prod(self.shape):,} elements, and in "
            f"{self.sums[0].size:,} sums over all of them"
        )


def paired(
    record: TensorRecord,
    entry: TensorEntry,
    golden: Array,
    reference: Array | None,
    sums: Callable[[], Array | None],
) -> Pair:
    """golden, reference, sums: as the golden holds them. Both sides have one shape as a whole."""
    shape = record.shape
    ones = (1,) * len(shape)
    ours = record.sample.steps if record.sample else ones
    theirs = entry.sample.steps if entry.sample else ones
    if record.sample is None and entry.sample is None:
        return Pair(record.value, golden, reference, shape, ones)
    steps = tuple(map(max, ours, theirs))
    return Pair(
        thinned(record.value, steps, ours),
        thinned(golden, steps, theirs),
        None if reference is None else thinned(reference, steps, theirs),
        shape,
        steps,
        _sums(record, golden, sums()),
    )


def _sums(record: TensorRecord, golden: Array, held: Array | None) -> tuple[Array, Array]:
    """Of a side that is whole they are made, of as many as the other has."""
    elements = math.prod(record.shape)
    size = min(sums.size for sums in (record.sums, held) if sums is not None)

    def of(kept: Array | None, whole: Array) -> Array:
        return sketched(whole, size) if kept is None else folded(kept, size, elements)

    return of(record.sums, record.value), of(held, golden)
