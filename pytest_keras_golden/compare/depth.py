"""Whether roundings that were measured layer by layer explain how far a whole model's tensor moved.

The reach of a tensor is the most that the measured changes moved it by when they were carried
through the model with random signs (`capture.replay.carry`). A tensor is explained by depth while
it moved by no more than `FACTOR` times that, as the largest k and as relative L2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tolerance import default
from .metrics import measure

if TYPE_CHECKING:
    from ..records import Array

FACTOR = 4.0
"""docs/tolerances.md: over real releases of three models no harmless tensor moved by more than
twice its reach; benchmarks/depth.py prints the ratios."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one tensor lies from another: k as in `metrics.Metrics`, and relative L2."""

    k: float = 0.0
    rel_l2: float = 0.0

    def within(self, reach: Shift, factor: float = FACTOR) -> bool:
        """Whether it is no more than `factor` times another, in both measures."""
        return self.k <= factor * reach.k and self.rel_l2 <= factor * reach.rel_l2


def shift(actual: Array, golden: Array, precision: str = "") -> Shift | None:
    """None where shape or dtype differ, or where NaN and Inf do."""
    if (actual.shape, actual.dtype) != (golden.shape, golden.dtype):
        return None
    precision = precision or golden.dtype.name
    metrics = measure(actual, golden, default(precision), precision)
    return None if metrics.nonfinite_changed else Shift(metrics.k, metrics.rel_l2)


def furthest(shifts: Iterable[Shift]) -> Shift:
    """The largest of each measure; nowhere where there is none."""
    every = tuple(shifts)
    return Shift(
        max((each.k for each in every), default=0.0),
        max((each.rel_l2 for each in every), default=0.0),
    )
