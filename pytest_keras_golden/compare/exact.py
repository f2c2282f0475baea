"""bool and integer tensors, compared without rounding (int64 extremes are 2⁶⁴ − 1 apart)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..records import Array, Tolerance
    from .metrics import Metrics


def measure_exact(actual: Array, golden: Array, tolerance: Tolerance, block: int) -> Metrics:
    """As `metrics.measure`. ε is 0: under a `k` nothing may change; max_ulp is max_abs."""
    from .metrics import Metrics, _cosine, _ratio

    a_flat, g_flat = actual.reshape(-1), golden.reshape(-1)
    dd = dg = gg = max_rel = 0.0
    largest, at, mismatches = 0, -1, 0
    for start in range(0, golden.size, block):
        a, g = _wide(a_flat[start : start + block]), _wide(g_flat[start : start + block])
        distance, magnitude = _distance(a, g), g.astype(np.float64)
        signed = np.where(a > g, 1.0, -1.0) * distance
        dd, dg = dd + float(np.dot(signed, signed)), dg + float(np.dot(signed, magnitude))
        gg += float(np.dot(magnitude, magnitude))
        np.abs(magnitude, out=magnitude)
        max_rel = max(max_rel, _relative(distance, magnitude))
        bound = np.floor((tolerance.atol or 0.0) + (tolerance.rtol or 0.0) * magnitude)
        mismatches += int(np.count_nonzero(_beyond(distance, bound)))
        top = int(distance.max())
        if top > largest:
            largest, at = top, start + int(distance.argmax())
    index = None if at < 0 else tuple(int(part) for part in np.unravel_index(at, golden.shape))
    return Metrics(
        size=golden.size,
        mismatches=mismatches,
        max_abs=float(largest),
        max_rel=max_rel,
        index=index,
        k=math.inf if largest else 0.0,
        rel_l2=_ratio(dd, gg),
        cosine=_cosine(dd, dg, gg),
        max_ulp=largest,
        scale=math.sqrt(gg / golden.size) if golden.size else 0.0,
    )


def _wide(block: Array) -> npt.NDArray[Any]:
    return block.astype(np.uint64 if block.dtype.kind in "bu" else np.int64)


def _distance(a: npt.NDArray[Any], g: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    # Unsigned arithmetic wraps to the true distance, which int64 cannot hold.
    u, v = a.view(np.uint64), g.view(np.uint64)
    return np.where(a > g, u - v, v - u)


def _relative(distance: npt.NDArray[np.uint64], magnitude: npt.NDArray[Any]) -> float:
    changed = distance > 0
    return float((distance[changed] / magnitude[changed]).max(initial=0.0))


def _beyond(distance: npt.NDArray[np.uint64], bound: npt.NDArray[Any]) -> npt.NDArray[Any]:
    within_range = bound < 2.0**64
    limit = np.where(within_range, bound, 0.0).astype(np.uint64)
    return within_range & (distance > limit)
