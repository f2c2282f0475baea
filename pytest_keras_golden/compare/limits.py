"""The elementwise rule: |e| ≤ atol + rtol·|golden|, inclusive, and never below the noise floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..records import Tolerance

SLACK = 1.0 - 1e-6
"""float32 arithmetic is off by less; what comes this near a limit is decided in float64."""


class Limits:
    """A tolerance made concrete for one precision. `noise` is a floor in units of k."""

    def __init__(self, tolerance: Tolerance, epsilon: float, noise: float | None) -> None:
        self.atol, self.rtol = tolerance.atol or 0.0, tolerance.rtol or 0.0
        self._absolute = tolerance.k is None
        self._unit = epsilon * max(tolerance.k or 0.0, noise or 0.0)

    def may_be_exceeded(
        self, units: float, error: npt.NDArray[Any], magnitude: npt.NDArray[Any]
    ) -> bool:
        """Whether an element of a chunk comes near or beyond its bound.

        units: the chunk's max |e|/(|golden| + scale).
        """
        if units == 0.0 or units < self._unit * SLACK:
            return False
        if not self._absolute:
            return True
        return not bool((error <= (magnitude * self.rtol + self.atol) * SLACK).all())

    def bound(
        self, magnitude: npt.NDArray[np.float64], scale: float | npt.NDArray[Any]
    ) -> npt.NDArray[np.float64]:
        """|e| allowed where the golden has `magnitude` and the tensor or its channel `scale`."""
        floor: npt.NDArray[np.float64] = self._unit * magnitude + self._unit * scale
        if not self._absolute:
            return floor
        asked: npt.NDArray[np.float64] = self.rtol * magnitude + self.atol
        return np.maximum(floor, asked)
