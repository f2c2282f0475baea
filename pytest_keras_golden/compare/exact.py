"""bool and integer tensors, compared without rounding (int64 extremes are 2⁶⁴ − 1 apart)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .sums import Sums

if TYPE_CHECKING:
    from ..records import Array, Tolerance


@dataclass(slots=True)
class Exact:
    """largest: max |e|, first attained at flat index `at` (-1 where nothing changed)."""

    mismatches: int = 0
    largest: int = 0
    at: int = -1
    max_rel: float = 0.0
    sums: Sums = field(default_factory=Sums)


def measure_exact(actual: Array, golden: Array, tolerance: Tolerance, chunk: int) -> Exact:
    """Compare two C-order integer or bool tensors. ε is 0: under a `k` nothing may change."""
    found, a_flat, g_flat = Exact(), actual.reshape(-1), golden.reshape(-1)
    for start in range(0, golden.size, chunk):
        a, g = _wide(a_flat[start : start + chunk]), _wide(g_flat[start : start + chunk])
        _see(found, a, g, tolerance, start)
    return found


def _see(
    exact: Exact,
    a: npt.NDArray[Any],
    g: npt.NDArray[Any],
    tolerance: Tolerance,
    start: int,
) -> None:
    distance, value = _distance(a, g), g.astype(np.float64)
    exact.sums.add(exact.sums.of(np.where(a > g, 1.0, -1.0) * distance, value))
    magnitude = np.abs(value)
    changed = distance > 0
    ratios = distance[changed] / magnitude[changed]
    exact.max_rel = max(exact.max_rel, float(ratios.max(initial=0.0)))
    bound = np.floor((tolerance.atol or 0.0) + (tolerance.rtol or 0.0) * magnitude)
    exact.mismatches += int(np.count_nonzero(_beyond(distance, bound)))
    top = int(distance.max())
    if top > exact.largest:
        exact.largest, exact.at = top, start + int(distance.argmax())


def in_one_width(one: Array, other: Array) -> tuple[Array, Array]:
    """Both in an integer dtype that holds the numbers of either; anything else as it is.

    Each backend counts in bits of its own: jax has no int64 unless told, TensorFlow counts the
    steps of an optimizer in it.
    """
    if one.dtype == other.dtype or not {one.dtype.kind, other.dtype.kind} <= set("iu"):
        return one, other
    wider = np.result_type(one.dtype, other.dtype)
    return (one.astype(wider), other.astype(wider)) if wider.kind in "iu" else (one, other)


def _wide(chunk: Array) -> npt.NDArray[Any]:
    return chunk.astype(np.uint64 if chunk.dtype.kind in "bu" else np.int64)


def _distance(a: npt.NDArray[Any], g: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    # Unsigned arithmetic wraps to the true distance, which int64 cannot hold.
    u, v = a.view(np.uint64), g.view(np.uint64)
    return np.where(a > g, u - v, v - u)


def _beyond(distance: npt.NDArray[np.uint64], bound: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    within_range = bound < 2.0**64
    limit = np.where(within_range, bound, 0.0).astype(np.uint64)
    beyond: npt.NDArray[np.bool_] = within_range & (distance > limit)
    return beyond
