"""One tensor measured against another: every metric of an outcome from one blocked pass.

Blocks of 64k elements stay in the cache and no temporary grows with the tensor, so that golden
files larger than memory can be compared through a memory map. Formats narrower than float32 are
compared in float32. For float32, maxima are located in float32 and evaluated in float64, and the
tolerance is decided in float64 wherever float32 comes within 1e-6 of it. float64 is compared in
float64, bool and integers exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import floats
from .bias import Bias, sample_bias
from .scale import robust_scale
from .steps import largest_step

if TYPE_CHECKING:
    from ..records import Array, Tolerance

    Block = npt.NDArray[Any]

BLOCK = 1 << 16
SLACK = 1.0 - 1e-6
"""float32 arithmetic is off by less; what comes this near a limit is decided in float64."""
TRUSTED_SQUARE = 1e-28
"""Mean square below which float32 products may underflow."""
TRUSTED_REL = 1e6
"""Relative error beyond which the divisor may have been a zero."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """`actual` against `golden`; e = actual − golden.

    mismatches: elements with |e| > atol + rtol·|golden|. max_abs is at `index`. max_rel: max
    |e|/|golden|, inf where a zero changed. k: max |e|/(ε·(|golden| + scale)). rel_l2: ‖e‖/‖golden‖.
    max_ulp: steps of the precision between two values, rounded up. bias, bias_t, offset, offset_t:
    see `bias.Bias`. scale: the robust rms. nonfinite_changed: elements that are NaN, inf or -inf on
    one side and not so on the other, the first at nonfinite_index; metrics leave non-finite
    elements out.
    """

    size: int
    mismatches: int
    max_abs: float
    max_rel: float
    index: tuple[int, ...] | None
    k: float
    rel_l2: float
    cosine: float
    max_ulp: int
    scale: float
    bias: Bias | None = None
    nonfinite_changed: int = 0
    nonfinite_index: tuple[int, ...] | None = None


def measure(
    actual: Array,
    golden: Array,
    tolerance: Tolerance,
    precision: str = "",
    *,
    noise: float | None = None,
    block: int = BLOCK,
) -> Metrics:
    """Measure two tensors of one shape and dtype.

    precision: whose ε counts; "" is the dtype's own. noise: the floor in units of k below which
    nothing is a mismatch. Arrays that are not in C order are copied once.
    """
    if actual.shape != golden.shape or actual.dtype != golden.dtype:
        raise ValueError(
            f"cannot measure {actual.dtype}{actual.shape} against {golden.dtype}{golden.shape}"
        )
    actual, golden = np.asarray(actual, order="C"), np.asarray(golden, order="C")
    precision = precision or golden.dtype.name
    with np.errstate(all="ignore"):
        if floats.is_exact(golden.dtype):
            from .exact import measure_exact

            return measure_exact(actual, golden, tolerance, block)
        return _Pass(actual, golden, tolerance, precision, noise or 0.0, block).run()


@dataclass(slots=True)
class _Peak:
    """The first element, in C order, that attains a maximum."""

    value: float = 0.0
    at: int = -1

    def see(self, values: Block, start: int) -> float:
        where = int(values.argmax())
        value = float(values[where])
        if value > self.value:
            self.value, self.at = value, start + where
        return value


class _Pass:
    def __init__(
        self,
        actual: Array,
        golden: Array,
        tolerance: Tolerance,
        precision: str,
        noise: float,
        block: int,
    ) -> None:
        self.shape = golden.shape
        self.actual, self.golden = actual.reshape(-1), golden.reshape(-1)
        self.block = max(1, min(block, golden.size))
        self.epsilon = floats.epsilon(precision)
        self.shift = floats.ulp_shift(golden.dtype, precision)
        self.scale = robust_scale(golden)
        self.limits = _Limits(tolerance, self.epsilon, noise)
        self.work = floats.working_dtype(golden.dtype)
        self.tiny = np.finfo(self.work).smallest_subnormal
        self.buffers = [np.empty(self.block, self.work) for _ in range(5)]
        self.scales = self._tiled_scale()
        self.unit = _unit(self.scale.rms)
        self.dd = self.dg = self.gg = 0.0
        self.abs, self.rel, self.k = _Peak(), _Peak(), _Peak()
        self.steps = self.mismatches = self.changed = 0
        self.changed_at = -1
        self.bias = sample_bias(actual, golden, self.scale.rms, self.epsilon)

    def run(self) -> Metrics:
        for start in range(0, self.golden.size, self.block):
            stop = start + self.block
            self._see(self.actual[start:stop], self.golden[start:stop], start)
        return Metrics(
            size=self.golden.size,
            mismatches=self.mismatches,
            max_abs=self._absolute(self.abs.at),
            max_rel=self._relative(self.rel.at),
            index=self._index(self.abs.at),
            k=self._units(self.k.at),
            rel_l2=_ratio(self.dd, self.gg),
            cosine=_cosine(self.dd, self.dg, self.gg),
            max_ulp=-(-self.steps >> self.shift),
            scale=self.scale.rms,
            bias=self.bias,
            nonfinite_changed=self.changed,
            nonfinite_index=self._index(self.changed_at),
        )

    def _see(self, raw: Array, raw_golden: Array, start: int) -> None:
        a, g, d, h, q = (buffer[: raw.size] for buffer in self.buffers)
        a, g = floats.widen(raw, a), floats.widen(raw_golden, g)
        np.subtract(a, g, out=d)
        sums = self._sums(d, g)
        np.abs(d, out=d)
        top = float(d.max())
        if top == 0.0 and math.isfinite(sums[2]) and sums[2] > 0.0:
            self.gg += sums[2]
            return
        if not self._trusted(sums, top, raw.size):
            self._see_in_float64(raw, raw_golden, start)
            return
        np.abs(g, out=h)
        np.maximum(h, self.tiny, out=q)
        rel = float(np.divide(d, q, out=q).max())
        if rel > TRUSTED_REL and rel > self.rel.value:
            self._see_in_float64(raw, raw_golden, start)
            return
        self.rel.see(q, start)
        self._commit(sums, d, h, q, start)
        self._see_steps(raw, raw_golden, rel)

    def _see_in_float64(self, raw: Array, raw_golden: Array, start: int) -> None:
        """The same for a block with non-finite, zero or extreme values."""
        a, g = raw.astype(np.float64), raw_golden.astype(np.float64)
        odd = ~(np.isfinite(a) & np.isfinite(g))
        if odd.any():
            self._see_nonfinite(a, g, odd, start)
            a[odd] = g[odd] = 0.0
        d, h = a - g, np.abs(g)
        sums = self._sums(d, g)
        np.abs(d, out=d)
        q = np.where(d > 0, d / h, 0.0)
        self.rel.see(q, start)
        self._commit(sums, d, h, q, start)
        self._see_steps(raw[~odd], raw_golden[~odd], math.inf)

    def _trusted(self, sums: tuple[float, float, float], top: float, size: int) -> bool:
        dd, _, gg = sums
        if not (math.isfinite(dd) and math.isfinite(gg)):
            return False
        if self.work == np.float64:
            return True
        return gg >= TRUSTED_SQUARE * size and top * top >= TRUSTED_SQUARE

    def _see_nonfinite(self, a: Block, g: Block, odd: Block, start: int) -> None:
        changed = odd & ~((a == g) | (np.isnan(a) & np.isnan(g)))
        count = int(np.count_nonzero(changed))
        if count and not self.changed:
            self.changed_at = start + int(changed.argmax())
        self.changed += count

    def _sums(self, d: Block, g: Block) -> tuple[float, float, float]:
        if self.unit != 1.0:
            d, g = d * self.unit, g * self.unit
        return float(np.dot(d, d)), float(np.dot(d, g)), float(np.dot(g, g))

    def _commit(
        self, sums: tuple[float, float, float], d: Block, h: Block, q: Block, start: int
    ) -> None:
        self.dd, self.dg, self.gg = self.dd + sums[0], self.dg + sums[1], self.gg + sums[2]
        self.abs.see(d, start)
        scales = self._scales(start, d.size)
        np.add(h, scales, out=q)
        np.maximum(q, self.tiny, out=q)
        np.divide(d, q, out=q)
        k = self.k.see(q, start)
        if self.limits.may_be_exceeded(k, d, h):
            self._count_mismatches(start, d.size)

    def _count_mismatches(self, start: int, size: int) -> None:
        a = self.actual[start : start + size].astype(np.float64)
        g = self.golden[start : start + size].astype(np.float64)
        kept = np.isfinite(a) & np.isfinite(g)
        bound = self.limits.bound(np.abs(g), self._scales(start, size))
        self.mismatches += int(np.count_nonzero((np.abs(a - g) > bound) & kept))

    def _see_steps(self, raw: Array, raw_golden: Array, rel: float) -> None:
        # Two values of one sign are at most 2^(m+1)·r/(1-r) steps apart, r their relative error:
        # most blocks cannot beat the largest seen.
        bits = floats.mantissa_bits(raw.dtype) + 1
        if rel < 1 and math.ldexp(rel / (1 - rel), bits) < self.steps:
            return
        self.steps = max(self.steps, largest_step(raw, raw_golden))

    def _tiled_scale(self) -> Block | None:
        channels = self.scale.channels
        if channels is None:
            return None
        return np.tile(channels.astype(self.work), 2 + self.block // channels.size)

    def _scales(self, start: int, size: int) -> Any:
        if self.scales is None or self.scale.channels is None:
            return self.scale.rms if self.work == np.float64 else np.float32(self.scale.rms)
        first = start % self.scale.channels.size
        return self.scales[first : first + size]

    def _pair(self, at: int) -> tuple[float, float]:
        return float(self.actual[at]), float(self.golden[at])

    def _absolute(self, at: int) -> float:
        if at < 0:
            return 0.0
        a, g = self._pair(at)
        return abs(a - g)

    def _relative(self, at: int) -> float:
        if at < 0:
            return 0.0
        golden = abs(self._pair(at)[1])
        return self._absolute(at) / golden if golden else math.inf

    def _units(self, at: int) -> float:
        if at < 0:
            return 0.0
        channels = self.scale.channels
        scale = self.scale.rms if channels is None else float(channels[at % channels.size])
        unit = self.epsilon * (abs(self._pair(at)[1]) + scale)
        return self._absolute(at) / unit if unit else math.inf

    def _index(self, at: int) -> tuple[int, ...] | None:
        if at < 0:
            return None
        return tuple(int(part) for part in np.unravel_index(at, self.shape))


class _Limits:
    """The elementwise rule, |e| ≤ atol + rtol·|golden|, or below the noise floor."""

    def __init__(self, tolerance: Tolerance, epsilon: float, noise: float) -> None:
        self.atol, self.rtol = tolerance.atol or 0.0, tolerance.rtol or 0.0
        self.absolute = tolerance.k is None
        self.unit = epsilon * max(tolerance.k or 0.0, noise)

    def may_be_exceeded(self, k: float, d: Block, h: Block) -> bool:
        """Whether an element of the block comes near or beyond its limit; k in units of 1."""
        if k < self.unit * SLACK or k == 0.0:
            return False
        if not self.absolute:
            return True
        return not bool((d <= (h * self.rtol + self.atol) * SLACK).all())

    def bound(self, magnitude: Block, scale: Any) -> Block:
        floor: Block = self.unit * magnitude + self.unit * scale
        if not self.absolute:
            return floor
        asked: Block = self.rtol * magnitude + self.atol
        return np.maximum(floor, asked)


def _unit(rms: float) -> float:
    """A power of two that brings extreme values to where float64 squares are exact enough."""
    return 1.0 if rms == 0.0 or 1e-100 < rms < 1e100 else math.ldexp(1.0, -math.frexp(rms)[1])


def _ratio(dd: float, gg: float) -> float:
    if dd == 0.0:
        return 0.0
    return math.sqrt(dd / gg) if gg else math.inf


def _cosine(dd: float, dg: float, gg: float) -> float:
    aa = gg + 2.0 * dg + dd
    if aa <= 0.0 or gg <= 0.0:
        return 1.0 if dd == 0.0 else 0.0
    return max(-1.0, min(1.0, (gg + dg) / math.sqrt(aa) / math.sqrt(gg)))
