"""Distance in representable values (ULP steps) between two blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .floats import ordered

if TYPE_CHECKING:
    from ..records import Array


def largest_step(actual: Array, golden: Array) -> int:
    """Most representable values between two finite values at one place; equal zeros are 0 apart."""
    if actual.size == 0:
        return 0
    a, g = ordered(actual), ordered(golden)
    # As unsigned: float64 of opposite sign can be almost 2⁶⁴ apart.
    return int((np.maximum(a, g).view(np.uint64) - np.minimum(a, g).view(np.uint64)).max())
