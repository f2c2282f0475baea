"""What a report draws of two tensors: small arrays of numbers, whatever the tensors' size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .floats import epsilon, is_exact, steps, ulp_shift
from .scale import robust_scale

if TYPE_CHECKING:
    from ..records import Array

    Matrix = npt.NDArray[np.float64]

CHUNK = 1 << 18
POSITIONS = 64
MAP_SIDE = 48
TOP = 5
LISTED_ROWS = 8
HISTOGRAM_BINS = 20
"""Bins of errors in ULPs: 0, 1, 2, 3–4, 5–8, …; the last takes everything beyond."""


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """One head of attention probabilities, reduced to at most 48×48 by the largest of each cell.

    difference is signed: of each cell the entry run − golden that is largest in magnitude.
    """

    head: int
    index: tuple[int, ...]
    golden: Matrix
    run: Matrix
    difference: Matrix


@dataclass(frozen=True, slots=True)
class TopTokens:
    """The five likeliest tokens of one row of logits, before and after: (token id, logit)."""

    row: int
    golden: tuple[tuple[int, float], ...]
    run: tuple[tuple[int, float], ...]


def by_position(actual: Array, golden: Array, precision: str = "", axis: int = -2) -> Matrix | None:
    """The largest k at each position along an axis (a vector has but one), in at most 64 bins.

    None for scalars, empty tensors and integers.
    """
    if golden.ndim == 0 or golden.size == 0 or is_exact(golden.dtype):
        return None
    if golden.ndim > 1 and axis != -2:
        actual, golden = (np.moveaxis(array, axis, -2) for array in (actual, golden))
    shape = (-1, *golden.shape[-2:]) if golden.ndim > 1 else (1, -1, 1)
    a, g = actual.reshape(shape), golden.reshape(shape)
    eps = epsilon(precision or golden.dtype.name)
    scale = robust_scale(golden).rms
    worst = np.zeros(g.shape[1])
    step = max(1, CHUNK // max(1, g.shape[1] * g.shape[2]))
    with np.errstate(all="ignore"):
        for start in range(0, g.shape[0], step):
            run, old = (part[start : start + step].astype(np.float64) for part in (a, g))
            unit = eps * (np.abs(old) + scale)
            change = np.abs(run - old)
            k = np.where(change > 0, change / unit, 0.0)
            worst = np.maximum(worst, np.nan_to_num(k, posinf=0.0).max(axis=(0, 2)))
    return _binned(worst, POSITIONS)


def ulp_histogram(actual: Array, golden: Array, precision: str = "") -> list[int] | None:
    """Counts of elements by their distance in ULPs of the precision, see `HISTOGRAM_BINS`.

    Non-finite elements are left out. None for integers.
    """
    if is_exact(golden.dtype):
        return None
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    a, g = actual.reshape(-1), golden.reshape(-1)
    shift = ulp_shift(golden.dtype, precision)
    for start in range(0, g.size, CHUNK):
        run, old = a[start : start + CHUNK], g[start : start + CHUNK]
        kept = np.isfinite(run.astype(np.float64)) & np.isfinite(old.astype(np.float64))
        apart = steps(run[kept], old[kept]).astype(np.float64)
        counts += np.bincount(_ulp_bin(np.ceil(apart / 2**shift)), minlength=HISTOGRAM_BINS)
    return [int(count) for count in counts]


def _ulp_bin(ulps: Matrix) -> npt.NDArray[np.intp]:
    """0 → 0, 1 → 1, 2 → 2, 3–4 → 3, 5–8 → 4, …"""
    bins = np.where(ulps <= 0, 0, np.ceil(np.log2(np.maximum(ulps, 1))) + 1)
    clipped: npt.NDArray[np.intp] = np.minimum(bins, HISTOGRAM_BINS - 1).astype(np.intp)
    return clipped


def attention_map(actual: Array, golden: Array) -> AttentionMap | None:
    """The head (…, queries, keys) whose probabilities moved most. None below two axes."""
    if golden.ndim < 2 or golden.size == 0 or is_exact(golden.dtype):
        return None
    queries, keys = golden.shape[-2:]
    a, g = actual.reshape(-1, queries, keys), golden.reshape(-1, queries, keys)
    worst = _most_moved(a, g)
    run, old = a[worst].astype(np.float64), g[worst].astype(np.float64)
    place = np.unravel_index(worst, golden.shape[:-2] or (1,))
    with np.errstate(invalid="ignore"):
        difference = np.nan_to_num(run - old)
    return AttentionMap(
        head=int(place[-1]),
        index=tuple(int(part) for part in place),
        golden=_reduced(np.nan_to_num(old)),
        run=_reduced(np.nan_to_num(run)),
        difference=_reduced(difference),
    )


def _moved(run: Any, old: Any) -> float:
    with np.errstate(all="ignore"):
        change = np.abs(run.astype(np.float64) - old.astype(np.float64))
    return float(np.nan_to_num(change, posinf=0.0).max())


def top_tokens(actual: Array, golden: Array, rows: tuple[int, ...] = ()) -> list[TopTokens]:
    """Top-5 of the given rows of logits (…, vocabulary), at most eight; of the row that moved most
    where none is given."""
    if golden.ndim == 0 or golden.shape[-1] < 2 or golden.size == 0:
        return []
    width = golden.shape[-1]
    a, g = actual.reshape(-1, width), golden.reshape(-1, width)
    wanted = [row for row in rows if 0 <= row < len(g)] or [_most_moved(a, g)]
    return [TopTokens(row, _top(g[row]), _top(a[row])) for row in wanted[:LISTED_ROWS]]


def _most_moved(actual: Array, golden: Array) -> int:
    moved = [_moved(run, old) for run, old in zip(actual, golden, strict=True)]
    return int(np.argmax(moved))


def _top(row: Any) -> tuple[tuple[int, float], ...]:
    values = np.nan_to_num(row.astype(np.float64), nan=-np.inf)
    order = np.argsort(-values, kind="stable")[:TOP]
    return tuple((int(token), float(values[token])) for token in order)


def _binned(values: Matrix, bins: int) -> Matrix:
    """The largest value of each of at most `bins` equal stretches."""
    if values.size <= bins:
        return values
    edges = np.linspace(0, values.size, bins + 1).astype(int)[:-1]
    reduced: Matrix = np.maximum.reduceat(values, edges)
    return reduced


def _reduced(matrix: Matrix) -> Matrix:
    """At most 48×48, each cell the entry of its block that is largest in magnitude."""
    for axis in (0, 1):
        size = matrix.shape[axis]
        if size > MAP_SIDE:
            edges = np.linspace(0, size, MAP_SIDE + 1).astype(int)[:-1]
            high = np.maximum.reduceat(matrix, edges, axis=axis)
            low = np.minimum.reduceat(matrix, edges, axis=axis)
            matrix = np.where(np.abs(low) > np.abs(high), low, high)
    return matrix
