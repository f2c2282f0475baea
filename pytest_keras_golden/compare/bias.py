"""Systematic drift below one ULP: rounding is unbiased, a changed constant is not.

The error e = a − g, in units of ε, is fitted on the midpoint m = (a + g)/2 (both sides are
rounded: regressing on either alone would bias the slope) with weights w = 1/(|m| + rms), the
inverse of what rounding errors grow with. Two fits through the origin: the slope, and the mean
offset in units of ε·rms.

Standard errors come from a jackknife over groups, since rounding errors are not independent:
equal values round equally, and a row or channel shares one rounded statistic or weight. The
smallest |t| over groups by value, by row and by channel is kept.
Delete-a-group jackknife: Efron & Stein 1981; cluster-robust errors: MacKinnon, Nielsen & Webb 2023.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .floats import epsilon as epsilon_of
from .scale import sample_rows

if TYPE_CHECKING:
    from ..records import Array

    Vector = npt.NDArray[np.float64]

SLOPE = 0.2
"""Units of ε. 45 rounding-level changes of real releases stay within 0.16."""
T = 8.0
MIN_GROUPS = 8
MAX_GROUPS = 4096


@dataclass(frozen=True, slots=True)
class Bias:
    """slope: of the error on the value, in units of ε; offset: of the mean error, in units of
    ε·rms; each with its t statistic. `systematic`: one of them is beyond what rounding does."""

    slope: float
    slope_t: float
    offset: float
    offset_t: float

    @property
    def systematic(self) -> bool:
        return _beyond(self.slope, self.slope_t) or _beyond(self.offset, self.offset_t)

    def sentence(self, precision: str) -> str:
        """In words: what a user reads instead of a slope."""
        if _beyond(self.slope, self.slope_t):
            percent = 100.0 * abs(self.slope) * epsilon_of(precision)
            way = "larger" if self.slope > 0 else "smaller"
            return f"systematic: magnitudes are {percent:.2g} % {way}"
        percent = 100.0 * abs(self.offset) * epsilon_of(precision)
        way = "above" if self.offset > 0 else "below"
        return f"systematic: values lie {percent:.2g} % of their rms {way} the golden"


def _beyond(size: float, t: float) -> bool:
    return abs(size) > SLOPE and abs(t) > T


def sample_bias(actual: Array, golden: Array, rms: float, epsilon: float) -> Bias | None:
    """Bias of two tensors of one shape; None where nothing can be said (empty, zero, exact)."""
    if golden.size == 0 or rms == 0.0 or epsilon == 0.0:
        return None
    a, g = sample_rows(actual).astype(np.float64), sample_rows(golden).astype(np.float64)
    kept = np.isfinite(a) & np.isfinite(g)
    a, g = np.where(kept, a, 0.0), np.where(kept, g, 0.0)
    error = a - g
    if not error.any():
        return Bias(0.0, 0.0, 0.0, 0.0)
    middle = g + error / 2
    weight = kept / (np.abs(middle) + rms)
    y = _clipped(error * weight / epsilon)
    groups = _groups(g, kept)
    slope, slope_t = _fit(middle * weight, y, groups)
    offset, offset_t = _fit(rms * weight, y, groups)
    return Bias(slope, slope_t, offset, offset_t)


def _clipped(y: Vector) -> Vector:
    """Outliers brought to four times the 90th percentile: few wild elements are no bias."""
    limit = 4.0 * float(np.quantile(np.abs(y), 0.9))
    return np.clip(y, -limit, limit) if limit else y


def _groups(golden: Vector, kept: npt.NDArray[Any]) -> list[npt.NDArray[np.intp]]:
    rows, channels = golden.shape
    # The low bits of a narrow format's float64 are zero: mix all of them into a bucket.
    mixed = np.ascontiguousarray(golden).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    found = [(mixed >> np.uint64(52)).astype(np.intp).ravel()]
    if rows > 1:
        found.append(np.repeat(np.arange(rows) % MAX_GROUPS, channels))
        found.append(np.tile(np.arange(channels) % MAX_GROUPS, rows))
    return found


def _fit(x: Vector, y: Vector, groups: list[npt.NDArray[np.intp]]) -> tuple[float, float]:
    """Least squares through the origin, and the smallest t over the groupings."""
    xx, xy = (x * x).ravel(), (x * y).ravel()
    total_xx, total_xy = float(xx.sum()), float(xy.sum())
    if total_xx == 0.0:
        return 0.0, 0.0
    slope = total_xy / total_xx
    return slope, min((_t(slope, xx, xy, group) for group in groups), key=abs)


def _t(slope: float, xx: Vector, xy: Vector, group: npt.NDArray[np.intp]) -> float:
    group_xx = np.bincount(group, xx)
    group_xy = np.bincount(group, xy)
    used = group_xx > 0
    count = int(np.count_nonzero(used))
    if count < MIN_GROUPS:
        return 0.0
    rest = group_xx.sum() - group_xx[used]
    without = (group_xy.sum() - group_xy[used]) / rest
    error = math.sqrt((count - 1) / count * float(np.square(without - slope).sum()))
    return slope / error if error else math.copysign(math.inf, slope)
