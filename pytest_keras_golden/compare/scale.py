"""The scale of a tensor: its rms, which outlier channels must not inflate.

A channel a thousand times larger than the other 511 raises the whole-tensor rms 44-fold, and an
atol made from it hides the loss of 88 % of the elements. So the rms is taken over channels (the
last axis) whose own rms is capped at `OUTLIER` times the median channel's; a channel beyond that
is judged by its own rms. Tensors without such channels keep their plain rms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .sums import dot

if TYPE_CHECKING:
    from ..records import Array

OUTLIER = 8.0
"""Channel rms over the median channel's; trained LayerNorm and Dense outputs stay below it."""
EXTREME = 1024.0
"""Magnitude over the median magnitude beyond which an element is a mask or a massive activation."""
FEW_ROWS_EXTREME = 64.0
"""The same where there are too few rows to tell an outlier channel from an outlier element."""
MIN_ROWS = 8
CHUNK = 1 << 15
MAX_CHANNELS = 1 << 18
SAMPLE = 1 << 17
"""Elements looked at; the standard error of the rms is then about 0.2 %."""


@dataclass(frozen=True, slots=True)
class Scale:
    """rms: the robust rms, over finite values. channels: per-channel scale of the last axis, or
    None where one scale holds for all."""

    rms: float
    channels: npt.NDArray[np.float64] | None = None


class ChunkScale:
    """The scale of each element of a chunk: one number, or the channels' repeated."""

    def __init__(self, scale: Scale, chunk: int, dtype: npt.DTypeLike = np.float64) -> None:
        self._rms, self._channels = scale.rms, scale.channels
        self._tiled = None
        if scale.channels is not None:
            self._tiled = np.tile(scale.channels.astype(dtype), 2 + chunk // scale.channels.size)

    def chunk(self, start: int, size: int) -> float | npt.NDArray[Any]:
        """Of the elements [start, start + size) in C order; size is at most the chunk's."""
        if self._tiled is None or self._channels is None:
            return self._rms
        first = start % self._channels.size
        return self._tiled[first : first + size]

    def at(self, index: int) -> float:
        """Of one element."""
        if self._channels is None:
            return self._rms
        return float(self._channels[index % self._channels.size])


def robust_scale(golden: Array) -> Scale:
    """Scale of a C-order floating-point tensor, from at most about 2¹⁷ evenly spread elements."""
    if golden.size == 0:
        return Scale(0.0)
    rows = sample_rows(golden)
    magnitude = np.abs(rows.astype(np.float64))
    finite = np.isfinite(magnitude)
    magnitude[~finite] = 0.0
    positive = magnitude[magnitude > 0]
    if positive.size == 0:
        return Scale(0.0 if rows.size == golden.size else root_mean_square(golden))
    median = float(np.median(positive))
    if magnitude.shape[0] >= MIN_ROWS and 2 <= magnitude.shape[1] <= MAX_CHANNELS:
        return _by_channel(magnitude, finite, EXTREME * median)
    return Scale(_rms(magnitude[finite & (magnitude <= FEW_ROWS_EXTREME * median)]))


def sample_rows(array: Array) -> Array:
    """Whole rows (all axes but the last are one), evenly spread, about `SAMPLE` elements."""
    flat = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
    if flat.shape[1] > MAX_CHANNELS:
        # So long a row is no channel axis; pieces of it are as good.
        return _pieces(array.reshape(-1))
    count = max(MIN_ROWS, SAMPLE // flat.shape[1])
    if flat.shape[0] <= count:
        return flat
    return flat[np.linspace(0, flat.shape[0] - 1, count).astype(np.intp)]


def _pieces(flat: Array) -> Array:
    starts = np.linspace(0, flat.size - 4096, SAMPLE // 4096).astype(np.intp)
    return np.concatenate([flat[start : start + 4096] for start in starts]).reshape(1, -1)


def _by_channel(
    magnitude: npt.NDArray[np.float64], finite: npt.NDArray[np.bool_], extreme: float
) -> Scale:
    usual = finite & (magnitude <= extreme)
    kept = np.where(usual, magnitude, 0.0)
    counted = np.maximum(1, np.count_nonzero(usual, axis=0))
    unit = float(kept.max())
    channel = unit * np.sqrt(np.square(kept / unit).sum(axis=0) / counted)
    median = float(np.median(channel[channel > 0]))
    rms = _rms(np.minimum(channel, OUTLIER * median)[usual.any(axis=0)])
    # Of what is finite: a channel that is mostly masked is no larger for that.
    outlier = (channel > OUTLIER * median) | (2 * counted <= np.count_nonzero(finite, axis=0))
    if not outlier.any():
        return Scale(rms)
    sides = zip(magnitude[:, outlier].T, finite[:, outlier].T, strict=True)
    own = np.array([_rms(column[real]) for column, real in sides])
    channels = np.full(magnitude.shape[1], rms)
    channels[outlier] = np.maximum(own, rms)
    return Scale(rms, channels)


def _rms(values: npt.NDArray[Any]) -> float:
    unit = float(values.max(initial=0.0))  # squares of extreme values neither overflow nor vanish
    if unit == 0.0:
        return 0.0
    return unit * math.sqrt(float(np.mean(np.square(values / unit))))


def root_mean_square(array: Array) -> float:
    """Of the finite values, in float64; 0 where there are none."""
    flat, squares = array.reshape(-1), 0.0
    wide = np.empty(min(CHUNK, flat.size))
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, CHUNK):
            part = wide[: min(CHUNK, flat.size - start)]
            np.copyto(part, flat[start : start + CHUNK])
            squares += dot(part, part)
    if math.isfinite(squares) and squares > 1e-250:
        return math.sqrt(squares / flat.size)
    return _careful_root_mean_square(flat)


def _careful_root_mean_square(flat: Array) -> float:
    """In units of the largest value: squares of extreme values neither overflow nor vanish."""
    squares, count, unit = 0.0, 0, 0.0
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK].astype(np.float64)
        finite = chunk[np.isfinite(chunk)]
        top = float(np.abs(finite).max(initial=0.0))
        if top > unit:
            squares, unit = squares * (unit / top) ** 2, top
        if unit:
            squares += float(np.square(finite / unit).sum())
        count += finite.size
    return unit * math.sqrt(squares / count) if count else 0.0
