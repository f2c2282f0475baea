"""Systematic drift below one ULP: rounding is unbiased, a changed constant is not.

The error e = a − g, in units of ε, is fitted on the midpoint m = (a + g)/2 (both sides are
rounded: regressing on either alone would bias the slope), weighted by 1/(|m| + rms), the inverse
of what rounding errors grow with. Two fits through the origin: the slope, and the mean offset in
units of ε·rms. Wild elements are clipped.

Rounding errors are not independent, so standard errors come from a jackknife over groups: equal
values round equally (few or saturated values are few observations, however often they occur), a
row shares its rounded statistics, a channel its rounded weight. The smallest |t| over groups by
value, row, channel and batch counts. With fewer rows than `MIN_GROUPS` a rounded statistic and a
changed constant look alike, and only what no rounding reaches is called systematic.
The jackknife over clusters: MacKinnon, Nielsen & Webb, Journal of Applied Econometrics 38 (2023).
False alarms and detections: benchmarks/bias.py, docs/tolerances.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .curve import largest_mean
from .floats import epsilon as epsilon_of

if TYPE_CHECKING:
    from ..records import Array

    Vector = npt.NDArray[np.float64]
    Groups = npt.NDArray[np.intp]

SLOPE = 0.2
"""Units of ε. Rounding-level changes of real releases stay within 0.16."""
SLOPE_FINE = 0.6
"""The same from float32 on: one constant rounded otherwise makes up to 0.5 ε there, and is fine."""
SLOPE_FEW_ROWS = 1.0
"""The same where one rounded statistic may be shared by everything."""
CURVE = 0.8
"""Units of ε. Harmless changes of benchmarks/bias.py reach 0.52 (bfloat16 statistics of a norm)."""
T = 8.0
FINE = 2.0**-20
MIN_GROUPS = 8
MAX_GROUPS = 4096
SAMPLE = 1 << 16
"""Elements looked at: the slope of plain rounding then has a standard error of about 0.002 ε."""


@dataclass(frozen=True, slots=True)
class Bias:
    """slope: of the error on the value, in units of ε; offset: of the mean error, in units of
    ε·rms; each with its t statistic. threshold: the slope that rounding does not reach here.
    curve: largest mean error of elements of one size, in units of ε; 0 where it may be rounding."""

    slope: float
    slope_t: float
    offset: float
    offset_t: float
    threshold: float = SLOPE
    curve: float = 0.0

    @property
    def systematic(self) -> bool:
        """Whether a constant or a function has changed rather than a rounding."""
        return self._scaled or self._shifted or self.curve > max(CURVE, self.threshold)

    @property
    def _scaled(self) -> bool:
        return abs(self.slope) > self.threshold and abs(self.slope_t) > T

    @property
    def _shifted(self) -> bool:
        return abs(self.offset) > self.threshold and abs(self.offset_t) > T

    def sentence(self, precision: str) -> str:
        """In words: what a user reads instead of a slope."""
        unit = epsilon_of(precision)
        if self._scaled:
            # The slope is on the midpoint; users think in terms of the golden.
            slope = self.slope * unit
            size = slope / (1.0 - slope / 2.0) if slope < 2.0 else math.inf
            return f"systematic: outputs are {_percent(size)} {'larger' if size > 0 else 'smaller'}"
        if not self._shifted:
            size = self.curve * unit
            return f"systematic: outputs of one size are off by {_percent(size)} alike"
        way = "above" if self.offset > 0 else "below"
        size = self.offset * unit
        return f"systematic: outputs lie {_percent(size)} of their rms {way} the golden's"


def _percent(size: float) -> str:
    percent = 100.0 * abs(size)
    return f"{percent:.2g} %" if percent < 99.5 else f"{percent:.0f} %"


def sample_bias(actual: Array, golden: Array, rms: float, epsilon: float) -> Bias | None:
    """Bias of two C-order tensors of one shape, from at most about 2¹⁷ evenly spread elements.

    rms: the golden's. epsilon: of the precision. None where nothing can be said (empty, all zero,
    exact dtype).
    """
    if golden.size == 0 or rms == 0.0 or epsilon == 0.0:
        return None
    rows = _Rows.of(golden.shape)
    a, g = rows.take(actual), rows.take(golden)
    kept = np.isfinite(a) & np.isfinite(g)
    a, g = np.where(kept, a, 0.0), np.where(kept, g, 0.0)
    threshold = rows.threshold(epsilon)
    error = a - g
    if not error.any():
        return Bias(0.0, 0.0, 0.0, 0.0, threshold)
    middle = g + error / 2
    weight = kept / (np.abs(middle) + rms)
    y = _clipped((error * weight / epsilon).ravel())
    groups = [_by_value(g), *rows.groups()]
    slope, slope_t = _fit((middle * weight).ravel(), y, groups)
    offset, offset_t = _fit((rms * weight).ravel(), y, groups)
    # From float32 on, two good implementations of exp differ as functions, by an ULP or so.
    curve = largest_mean(middle.ravel(), y, groups, T) if epsilon >= FINE else 0.0
    return Bias(slope, slope_t, offset, offset_t, threshold, curve)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which rows (all axes but the last) and channels are sampled, out of how many."""

    shape: tuple[int, int]
    batch: int
    rows: Groups
    step: int

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Rows:
        channels = shape[-1] if shape else 1
        count = math.prod(shape[:-1])
        wanted = min(count, max(64, SAMPLE // channels))
        rows = np.linspace(0, count - 1, wanted).astype(np.intp)
        step = max(1, wanted * channels // (2 * SAMPLE))
        batch = shape[0] if len(shape) > 2 else 1
        return cls((count, channels), batch, rows, step)

    def take(self, array: Array) -> Vector:
        flat = array.reshape(self.shape)
        # A slice where it will do: fancy indexing reads a memory map element by element.
        chosen = flat if len(self.rows) == len(flat) else flat[self.rows]
        return chosen[:, :: self.step].astype(np.float64)

    def groups(self) -> Iterator[Groups]:
        """By row, channel and first axis, where there are enough of them."""
        count, channels = len(self.rows), -(-self.shape[1] // self.step)
        if count >= MIN_GROUPS:
            yield np.repeat(np.arange(count) % MAX_GROUPS, channels)
        if count > 1:
            yield np.tile(np.arange(channels) % MAX_GROUPS, count)
        if self.batch >= MIN_GROUPS:
            per_batch = self.shape[0] // self.batch
            yield np.repeat(self.rows // per_batch % MAX_GROUPS, channels)

    def threshold(self, epsilon: float) -> float:
        if len(self.rows) < MIN_GROUPS:
            return SLOPE_FEW_ROWS
        return SLOPE_FINE if epsilon < FINE else SLOPE


def _by_value(golden: Vector) -> Groups:
    # The low bits of a narrow format's float64 are zero: mix all of them into the bucket.
    mixed = golden.ravel().view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    buckets: Groups = (mixed >> np.uint64(52)).astype(np.intp)
    return buckets


def _clipped(y: Vector) -> Vector:
    """Outliers brought to four times the 90th percentile: few wild elements are no bias."""
    size = np.abs(y)
    limit = 4.0 * float(np.partition(size, int(0.9 * (size.size - 1)))[int(0.9 * (size.size - 1))])
    return np.clip(y, -limit, limit) if limit else y


def _fit(x: Vector, y: Vector, groups: list[Groups]) -> tuple[float, float]:
    """Least squares through the origin, and the smallest |t| over the groupings."""
    xx, xy = x * x, x * y
    total = float(xx.sum())
    if total == 0.0:
        return 0.0, 0.0
    slope = float(xy.sum()) / total
    return slope, min((_t(slope, xx, xy, group) for group in groups), key=abs)


def _t(slope: float, xx: Vector, xy: Vector, group: Groups) -> float:
    """t of the slope by the jackknife that leaves out a group at a time."""
    group_xx: npt.NDArray[Any] = np.bincount(group, xx)
    group_xy: npt.NDArray[Any] = np.bincount(group, xy)
    used = group_xx > 0
    count = int(np.count_nonzero(used))
    if count < MIN_GROUPS:
        return 0.0
    rest = group_xx.sum() - group_xx[used]
    without = (group_xy.sum() - group_xy[used]) / rest
    error = math.sqrt((count - 1) / count * float(np.square(without - slope).sum()))
    return slope / error if error else math.copysign(math.inf, slope)
