"""Attention probabilities: how far rows move, whether they still sum to one and obey their mask.

The last axis is the keys, the one before it the queries; a heads axis comes third from the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .floats import epsilon

if TYPE_CHECKING:
    from ..records import Array

    _Matrix = npt.NDArray[np.float64]

CHUNK = 1 << 18
SUM_EPSILONS = 4.0
"""How far, in ε, rounded probabilities may be from summing to one."""


@dataclass(frozen=True, slots=True)
class AttentionMetrics:
    """variation: per head, the largest total variation ½·Σ|a − g| of a row. unnormalised: rows that
    summed to one in the golden and no longer do, by more than 4 ε. masked_mass: the most that a row
    puts on positions that are exactly 0 in the golden, in query `masked_query`. causal: the golden
    attends to no later position. leak: what of a row's mass lies on later positions then."""

    variation: tuple[float, ...]
    unnormalised: int
    masked_mass: float
    masked_query: int
    causal: bool
    leak: float
    epsilon: float

    @property
    def broken_mask(self) -> bool:
        """More mass on masked positions than rounding makes (an underflow is no mask)."""
        return self.masked_mass > self.epsilon

    def sentence(self) -> str | None:
        """What is wrong in words, None where only numbers moved."""
        if self.causal and self.leak > self.epsilon:
            return (
                f"causal mask broken: query {self.masked_query} puts {self.leak:.2g} "
                "of its attention on later positions"
            )
        if self.broken_mask:
            return (
                f"mask broken: query {self.masked_query} puts {self.masked_mass:.2g} "
                "of its attention on masked positions"
            )
        if self.unnormalised:
            return f"{self.unnormalised} rows of probabilities no longer sum to one"
        return None

    def to_extra(self) -> dict[str, Any]:
        """For `TensorOutcome.extra`."""
        return {
            "total_variation": list(self.variation),
            "unnormalised_rows": self.unnormalised,
            "masked_mass": self.masked_mass,
            "causal": self.causal,
            "causal_leak": self.leak,
        }


def attention_metrics(
    actual: Array, golden: Array, precision: str = "", every: tuple[int, int] | None = None
) -> AttentionMetrics | None:
    """Compare probabilities (…, heads, queries, keys) of one shape; None where the golden holds no
    probabilities (an attention *output*, say: negative values, or rows that do not sum to one).

    every: (number of queries, step) of which every step-th, the last one among them, is here.
    """
    if golden.ndim < 2 or golden.size == 0:
        return None
    eps = epsilon(precision or golden.dtype.name)
    queries, keys = golden.shape[-2:]
    heads = golden.shape[-3] if golden.ndim > 2 else 1
    of = range(queries) if every is None else range((every[0] - 1) % every[1], *every)
    summed = _Found(heads, keys - (of[-1] + 1), eps)
    a, g = actual.reshape(-1, queries, keys), golden.reshape(-1, queries, keys)
    step = max(1, CHUNK // keys)
    with np.errstate(all="ignore"):
        for matrix in range(len(g)):
            for first in range(0, queries, step):
                part = slice(first, first + step)
                rows, golden_rows = (x[matrix, part].astype(np.float64) for x in (a, g))
                if not summed.see(rows, golden_rows, matrix % heads, of[part]):
                    return None
    return summed.metrics()


class _Found:
    def __init__(self, heads: int, offset: int, eps: float) -> None:
        self.eps, self.offset = eps, offset
        self.slack = SUM_EPSILONS * eps
        self.variation = [0.0] * heads
        self.unnormalised = 0
        self.masked = (0.0, -1)
        self.leaked = (0.0, -1)
        self.causal = offset >= 0
        self.future = self.any_normal = False

    def see(self, a: _Matrix, g: _Matrix, head: int, queries: range) -> bool:
        """Take in rows of one head, these queries; False where the golden's are no probability."""
        sums = g.sum(axis=1)
        normal = np.abs(sums - 1.0) <= self.slack
        # A row that is masked everywhere may be zeros or NaN.
        blank = ~np.isfinite(sums) | (sums == 0.0)
        if not (normal | blank).all() or bool((g < 0).any()):
            return False
        self.any_normal = self.any_normal or bool(normal.any())
        distance = np.nan_to_num(np.abs(a - g)).sum(axis=1) / 2
        self.variation[head] = max(self.variation[head], float(distance.max()))
        self.unnormalised += int((normal & ~(np.abs(a.sum(axis=1) - 1.0) <= self.slack)).sum())
        self._see_masks(a, g, queries)
        return True

    def _see_masks(self, a: _Matrix, g: _Matrix, queries: range) -> None:
        mass = np.where(g == 0.0, np.nan_to_num(np.abs(a)), 0.0)
        self.masked = max(self.masked, _largest(mass.sum(axis=1), queries))
        position = np.arange(g.shape[1])[None, :]
        later = position > np.asarray(queries)[:, None] + self.offset
        self.future = self.future or bool(later.any())
        self.causal = self.causal and not bool((later & (g != 0.0)).any())
        self.leaked = max(self.leaked, _largest((mass * later).sum(axis=1), queries))

    def metrics(self) -> AttentionMetrics | None:
        if not self.any_normal:
            return None
        causal = self.causal and self.future
        leak = self.leaked[0] if causal else 0.0
        return AttentionMetrics(
            variation=tuple(self.variation),
            unnormalised=self.unnormalised,
            masked_mass=self.masked[0],
            masked_query=self.leaked[1] if leak > self.eps else self.masked[1],
            causal=causal,
            leak=leak,
            epsilon=self.eps,
        )


def _largest(masses: _Matrix, queries: range) -> tuple[float, int]:
    where = int(masses.argmax())
    return float(masses[where]), queries[where]
