"""Errors that follow the value: another function of the same inputs is no rounding, nor a constant.

gelu by a sigmoid, tanh by a rational function: the error crosses zero several times, so a line
through the origin sees nothing of it. Values are put into bins of equally many; rounding's mean
error in a bin vanishes, however it is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    _Vector = npt.NDArray[np.float64]
    _Groups = npt.NDArray[np.intp]

BINS = 16
MIN_CLUSTERS = 8


def largest_mean(values: _Vector, errors: _Vector, groups: Sequence[_Groups], t: float) -> float:
    """The mean error of the bin of values where it is largest, 0 where none is significant.

    groups: several ways to group elements whose errors depend on each other. In every one of them
    the bin's mean must be more than `t` of its standard errors (between clusters) from zero.
    """
    edges = np.quantile(values, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    at: _Groups = np.searchsorted(edges, values, side="right").astype(np.intp)
    count = np.maximum(np.bincount(at, minlength=BINS), 1)
    mean: npt.NDArray[Any] = np.bincount(at, errors, BINS) / count
    telling = np.ones(BINS, bool)
    for group in groups:
        telling &= np.abs(mean) > t * _standard_error(at, errors - mean[at], group) / count
    return float(np.abs(mean[telling]).max(initial=0.0))


def _standard_error(at: _Groups, rest: _Vector, group: _Groups) -> _Vector:
    """Of each bin's sum, infinite where it has too few clusters."""
    size = int(group.max()) + 1
    cluster = at * size + group
    used = np.bincount(cluster, minlength=BINS * size).reshape(BINS, size) > 0
    sums = np.bincount(cluster, rest, BINS * size).reshape(BINS, size)
    clusters = used.sum(axis=1)
    squares: _Vector = np.square(sums).sum(axis=1) * clusters / np.maximum(clusters - 1, 1)
    # No spread at all between clusters: equal errors, which a mean of zero errors is as well.
    error: _Vector = np.sqrt(squares)
    return np.where(clusters >= MIN_CLUSTERS, error, np.inf)
