"""Sums of squares over chunks, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK = 8192
"""Elements summed in their own precision; the sums of chunks are summed in float64. Short enough
for the linear algebra library to keep to one thread: others would be waited for."""


ROWS, COLUMNS = (-1, 1, CHUNK), (-1, CHUNK, 1)


def dot(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> float:
    """Σ x·y of two contiguous vectors."""
    rest = x.size % CHUNK
    total = float(np.dot(x[x.size - rest :], y[y.size - rest :])) if rest else 0.0
    if rest < x.size:
        whole = slice(0, x.size - rest)
        rows, columns = x[whole].reshape(ROWS), y[whole].reshape(COLUMNS)
        total += sum(np.matmul(rows, columns).ravel().tolist())
    return total


@dataclass(slots=True)
class Sums:
    """Σe², Σe·g, Σg² of e = actual − golden, each times unit²."""

    unit: float = 1.0
    ee: float = 0.0
    eg: float = 0.0
    gg: float = 0.0

    @classmethod
    def around(cls, rms: float) -> Sums:
        """A power of two as unit that brings extreme values to where float64 can square them."""
        usual = rms == 0.0 or 1e-100 < rms < 1e100
        return cls(1.0 if usual else math.ldexp(1.0, min(1000, -math.frexp(rms)[1])))

    def of(self, e: npt.NDArray[Any], g: npt.NDArray[Any]) -> tuple[float, float, float]:
        """The three of one chunk."""
        if self.unit != 1.0:
            e, g = e * self.unit, g * self.unit
        if e.size % CHUNK:
            return dot(e, e), dot(e, g), dot(g, g)
        # The same with less overhead, which counts: a chunk takes some 30 µs in all.
        e_rows, e_columns = e.reshape(ROWS), e.reshape(COLUMNS)
        g_rows, g_columns = g.reshape(ROWS), g.reshape(COLUMNS)
        return (
            sum(np.matmul(e_rows, e_columns).ravel().tolist()),
            sum(np.matmul(e_rows, g_columns).ravel().tolist()),
            sum(np.matmul(g_rows, g_columns).ravel().tolist()),
        )

    def add(self, chunk: tuple[float, float, float]) -> None:
        self.ee, self.eg, self.gg = self.ee + chunk[0], self.eg + chunk[1], self.gg + chunk[2]

    def rel_l2(self) -> float:
        """‖e‖/‖golden‖; inf where a zero golden changed."""
        if self.ee == 0.0:
            return 0.0
        return math.sqrt(self.ee / self.gg) if self.gg else math.inf

    def cosine(self) -> float:
        """Of the angle between actual and golden; 0 where one is zero, 1 where both are."""
        aa = self.gg + 2.0 * self.eg + self.ee
        if aa <= 0.0 or self.gg <= 0.0:
            return 1.0 if self.ee == 0.0 else 0.0
        product = math.sqrt(aa) * math.sqrt(self.gg)
        return max(-1.0, min(1.0, (self.gg + self.eg) / product))

    def rms(self, size: int) -> float:
        """Root mean square of the golden."""
        return math.sqrt(self.gg / size) / self.unit if size else 0.0
