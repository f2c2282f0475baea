"""The chunked pass over two floating-point tensors: buffers that stay in the cache.

Formats narrower than float32 are compared in float32. For float32, maxima are located in float32
and evaluated in float64, and the tolerance is decided in float64 wherever float32 comes within
1e-6 of it. float64 is compared in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import floats
from .limits import Limits
from .scale import ChunkScale, robust_scale
from .sums import Sums

if TYPE_CHECKING:
    from ..records import Array

    Chunk = npt.NDArray[Any]

TRUSTED_SQUARE = 1e-28
"""Mean square below which float32 products may underflow."""
TRUSTED_REL = 1e6
"""Relative error beyond which the divisor may have been a zero."""


@dataclass(slots=True)
class _Peak:
    """The first element, in C order, that attains a maximum."""

    value: float = 0.0
    at: int = -1

    def see(self, largest: tuple[float, int], start: int) -> None:
        if largest[0] > self.value:
            self.value, self.at = largest[0], start + largest[1]


def _largest(values: Chunk) -> tuple[float, int]:
    """The first largest value, or the first NaN, and where it is."""
    where = int(values.argmax())
    return float(values[where]), where


class Pass:
    """The running totals of one comparison of two C-order floating-point tensors.

    abs, rel, units: the largest |e|, |e|/|golden|, |e|/(|golden| + scale) and their flat indices.
    steps: representable values between two values. changed, changed_at: elements whose being NaN,
    inf or -inf changed, and the first of them (-1: none).
    """

    def __init__(self, actual: Array, golden: Array, limits: Limits, chunk: int) -> None:
        self.shape, self.limits = golden.shape, limits
        self.actual, self.golden = actual.reshape(-1), golden.reshape(-1)
        self.chunk = max(1, min(chunk, golden.size))
        self.scale = robust_scale(golden)
        self.work = floats.working_dtype(golden.dtype)
        self.tiny = np.finfo(self.work).smallest_subnormal
        self.reach = 2.0 ** (floats.mantissa_bits(golden.dtype) + 1)
        self.buffers = [np.empty(self.chunk, self.work) for _ in range(5)]
        self.scales = ChunkScale(self.scale, self.chunk, self.work)
        self.sums = Sums.around(self.scale.rms)
        self.abs, self.rel, self.units = _Peak(), _Peak(), _Peak()
        self.steps = self.mismatches = self.changed = 0
        self.changed_at = -1

    def run(self) -> Pass:
        for start in range(0, self.golden.size, self.chunk):
            stop = start + self.chunk
            raw, raw_golden = self.actual[start:stop], self.golden[start:stop]
            if not self._see(raw, raw_golden, start):
                self._see_with_care(raw, raw_golden, start)
        return self

    def _see(self, raw: Array, raw_golden: Array, start: int) -> bool:
        """Take in a chunk; False, with nothing taken in, where working precision may not do."""
        a, g, d, h, q = (buffer[: raw.size] for buffer in self.buffers)
        a, g = floats.widen(raw, a), floats.widen(raw_golden, g)
        np.subtract(a, g, out=d)
        sums = self.sums.of(d, g)
        np.abs(d, out=d)
        top = _largest(d)
        if not self._trusted(sums, top[0], raw.size):
            return False
        if top[0] > 0.0:
            np.abs(g, out=h)
            rel = self._relative_errors(d, h, q)
            if rel[0] > max(TRUSTED_REL, self.rel.value):
                return False
            self.abs.see(top, start)
            self.rel.see(rel, start)
            self._see_steps(raw, raw_golden, q, rel[0])
            self._see_units(raw, raw_golden, d, h, q, start)
        self.sums.add(sums)
        return True

    def _relative_errors(self, d: Chunk, h: Chunk, q: Chunk) -> tuple[float, int]:
        """q = d/h, and its maximum; zeros are divided by the smallest number there is."""
        rel = _largest(np.divide(d, h, out=q))
        if math.isfinite(rel[0]):
            return rel
        np.maximum(h, self.tiny, out=q)
        return _largest(np.divide(d, q, out=q))

    def _trusted(self, sums: tuple[float, float, float], top: float, size: int) -> bool:
        dd, _, gg = sums
        if not (math.isfinite(dd) and math.isfinite(gg)):
            return False
        if self.work == np.float64:
            return True
        return gg >= TRUSTED_SQUARE * size and (top == 0.0 or top * top >= TRUSTED_SQUARE)

    def _see_with_care(self, raw: Array, raw_golden: Array, start: int) -> None:
        """A chunk with non-finite, zero or extreme values, in float64."""
        a, g = raw.astype(np.float64), raw_golden.astype(np.float64)
        odd = ~(np.isfinite(a) & np.isfinite(g))
        if odd.any():
            self._see_nonfinite(a, g, odd, start)
            a[odd] = g[odd] = 0.0
        d, h = a - g, np.abs(g)
        self.sums.add(self.sums.of(d, g))
        np.abs(d, out=d)
        q = np.where(d > 0, d / h, 0.0)
        self.abs.see(_largest(d), start)
        rel = _largest(q)
        self.rel.see(rel, start)
        self._see_steps(raw, raw_golden, q, rel[0])
        self._see_units(raw, raw_golden, d, h, q, start)

    def _see_nonfinite(self, a: Chunk, g: Chunk, odd: Chunk, start: int) -> None:
        changed = odd & ~((a == g) | (np.isnan(a) & np.isnan(g)))
        count = int(np.count_nonzero(changed))
        if count and not self.changed:
            self.changed_at = start + int(changed.argmax())
        self.changed += count

    def _see_steps(self, raw: Array, raw_golden: Array, rel: Chunk, largest: float) -> None:
        # Two values of one sign are at most 2^(m+1)·r/(1-r) steps apart, r their relative error:
        # few elements can beat the largest seen.
        least = 0.999 * self.steps / (self.reach + self.steps)
        if largest <= least:
            return
        telling = np.flatnonzero(rel > least)
        distance = floats.steps(raw[telling], raw_golden[telling])
        self.steps = max(self.steps, int(distance.max(initial=0)))

    def _see_units(
        self, raw: Array, raw_golden: Array, d: Chunk, h: Chunk, q: Chunk, start: int
    ) -> None:
        """d/(h + scale), and whether its maximum may be beyond the tolerance; q is overwritten."""
        np.add(h, self.scales.chunk(start, d.size), out=q)
        if self.scale.rms == 0.0:
            np.maximum(q, self.tiny, out=q)
        units = _largest(np.divide(d, q, out=q))
        self.units.see(units, start)
        if self.limits.may_be_exceeded(units[0], d, h):
            self._count_mismatches(raw, raw_golden, start)

    def _count_mismatches(self, raw: Array, raw_golden: Array, start: int) -> None:
        a, g = raw.astype(np.float64), raw_golden.astype(np.float64)
        finite = np.isfinite(a) & np.isfinite(g)
        bound = self.limits.bound(np.abs(g), self.scales.chunk(start, raw.size))
        self.mismatches += int(np.count_nonzero((np.abs(a - g) > bound) & finite))

    def error(self, at: int) -> float:
        """|e| at a flat index in float64; 0 at -1."""
        return abs(float(self.actual[at]) - float(self.golden[at])) if at >= 0 else 0.0

    def relative_error(self, at: int, scale: float = 0.0) -> float:
        """|e|/(|golden| + scale) at a flat index in float64; inf where a zero changed."""
        error = self.error(at)
        against = abs(float(self.golden[at])) + scale if at >= 0 else 0.0
        return error / against if against else math.inf if error else 0.0
