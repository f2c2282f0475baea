"""Accuracy instead of equality: is the run further from the truth than its baseline was?

The rule of FlashAttention's tests (tests/test_flash_attn.py): the error of a low-precision result
against a high-precision reference is at most `FACTOR` times that of the low-precision baseline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .floats import epsilon
from .metrics import CHUNK
from .scale import robust_scale

if TYPE_CHECKING:
    from ..records import Array

FACTOR = 2.0
SAME = 0.05
"""Relative change of the error that is no improvement and no loss."""


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """Errors against the reference: relative L2, and of the worst element in units of
    ε·(|reference| + scale). ratio, worst_ratio: the run's over the baseline's (1 where both are 0).
    """

    error: float
    baseline_error: float
    worst: float
    baseline_worst: float
    ratio: float
    worst_ratio: float
    passes: bool

    @property
    def accuracy(self) -> Literal["better", "equal", "worse"]:
        if abs(self.ratio - 1.0) <= SAME:
            return "equal"
        return "better" if self.ratio < 1.0 else "worse"

    def to_extra(self) -> dict[str, Any]:
        """For `TensorOutcome.extra`."""
        return {
            "reference": {
                "accuracy": self.accuracy,
                "ratio": self.ratio,
                "worst_ratio": self.worst_ratio,
                "error": self.error,
                "baseline_error": self.baseline_error,
                "passes": self.passes,
            }
        }

    def sentence(self) -> str:
        """`error against the reference is 1.3 times the baseline's (worse)`."""
        return (
            f"error against the reference is {self.ratio:.3g} times the baseline's "
            f"({self.accuracy})"
        )


def three_way(
    actual: Array,
    golden: Array,
    reference: Array,
    precision: str = "",
    *,
    factor: float = FACTOR,
) -> ThreeWay:
    """Compare run and baseline with a reference of the same shape, in float64.

    Elements where any of the three is not finite are left out. Where the baseline has no error at
    all, the run may have one ε. Raises ValueError on another shape.
    """
    if not actual.shape == golden.shape == reference.shape:
        raise ValueError(f"reference {reference.shape} is not of shape {golden.shape}")
    eps = epsilon(precision or golden.dtype.name)
    run, base = _errors(actual, golden, reference, eps)
    limits = (base.l2 or eps, base.worst or 1.0)
    return ThreeWay(
        error=run.l2,
        baseline_error=base.l2,
        worst=run.worst,
        baseline_worst=base.worst,
        ratio=_quotient(run.l2, base.l2),
        worst_ratio=_quotient(run.worst, base.worst),
        passes=run.l2 <= factor * limits[0] and run.worst <= factor * limits[1],
    )


@dataclass(slots=True)
class _Error:
    l2: float = 0.0
    worst: float = 0.0


def _errors(actual: Array, golden: Array, reference: Array, eps: float) -> tuple[_Error, _Error]:
    run, base, total = _Error(), _Error(), 0.0
    flat = [array.reshape(-1) for array in (actual, golden, reference)]
    scale = robust_scale(reference).rms
    with np.errstate(all="ignore"):
        for start in range(0, reference.size, CHUNK):
            a, g, r = (part[start : start + CHUNK].astype(np.float64) for part in flat)
            kept = np.isfinite(a) & np.isfinite(g) & np.isfinite(r)
            unit = eps * (np.abs(r[kept]) + scale)
            total += float(np.square(r[kept]).sum())
            for error, value in ((run, a), (base, g)):
                distance = np.abs(value[kept] - r[kept])
                error.l2 += float(np.square(distance).sum())
                units = np.where(distance > 0, distance / unit, 0.0)
                error.worst = max(error.worst, float(units.max(initial=0.0)))
    for error in (run, base):
        error.l2 = _quotient(math.sqrt(error.l2), math.sqrt(total), both_zero=0.0)
    return run, base


def _quotient(upper: float, lower: float, both_zero: float = 1.0) -> float:
    if lower:
        return upper / lower
    return math.inf if upper else both_zero
