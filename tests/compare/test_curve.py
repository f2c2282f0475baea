"""Errors that follow the value, in bins of equally many."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_keras_golden.compare.curve import BINS, largest_mean

VALUES = np.arange(100.0 * BINS)
BIN = np.arange(100 * BINS) // 100
TENS = np.arange(100 * BINS) % 10
# In each bin, five of ten groups are above and five below: a standard error of a third.
SPREAD = np.where(TENS % 2, 1.0, -1.0)


def errors(mean: float, at: int = 3, spread: float = 0.3) -> np.ndarray:
    return np.where(at == BIN, mean + spread * SPREAD, 0.0)


@pytest.mark.parametrize(
    ("mean", "found"), [(0.81, 0.81), (-0.81, 0.81), (0.79, 0.0), (-0.79, 0.0), (0.0, 0.0)]
)
@pytest.mark.parametrize("at", [0, 3, BINS - 1])
def test_a_mean_counts_beyond_t_of_its_standard_errors(mean: float, found: float, at: int) -> None:
    assert largest_mean(VALUES, errors(mean, at), [TENS], 8.0) == pytest.approx(found)


def test_values_in_any_order_have_the_same_bins() -> None:
    order = np.random.default_rng(0).permutation(VALUES.size)
    found = largest_mean(VALUES[order], errors(0.81)[order], [TENS[order]], 8.0)
    assert found == pytest.approx(0.81)


def test_the_largest_of_several_is_told() -> None:
    both = errors(0.9) + errors(-1.5, at=9)
    assert largest_mean(VALUES, both, [TENS], 8.0) == pytest.approx(1.5)


def test_errors_without_any_spread_count() -> None:
    assert largest_mean(VALUES, errors(0.01, spread=0.0), [TENS], 8.0) == pytest.approx(0.01)


@pytest.mark.parametrize(("clusters", "found"), [(8, 0.5), (7, 0.0)])
def test_fewer_than_eight_clusters_prove_nothing(clusters: int, found: float) -> None:
    groups = [np.arange(VALUES.size) % clusters]
    assert largest_mean(VALUES, errors(0.5, spread=0.0), groups, 8.0) == pytest.approx(found)


def test_clusters_count_that_are_in_the_bin() -> None:
    groups = [np.where(BIN == 3, TENS % 7, TENS)]
    assert largest_mean(VALUES, errors(0.5, spread=0.0), groups, 8.0) == 0.0
    assert largest_mean(VALUES, errors(0.5, at=4, spread=0.0), groups, 8.0) == pytest.approx(0.5)


@pytest.mark.parametrize("order", [1, -1])
def test_every_way_of_grouping_has_to_agree(order: int) -> None:
    # Eight stretches of a bin's values alternate, which no group of tenths sees.
    stretch = np.arange(VALUES.size) % 100 // 10
    swinging = errors(0.5, spread=0.0) + np.where(BIN == 3, np.where(stretch % 2, 1.0, -1.0), 0.0)
    assert largest_mean(VALUES, swinging, [TENS], 8.0) == pytest.approx(0.5)
    assert largest_mean(VALUES, swinging, [TENS, stretch][::order], 8.0) == 0.0


def test_few_values_leave_bins_empty() -> None:
    assert largest_mean(np.zeros(100), np.full(100, 0.5), [np.arange(100)], 8.0) == 0.5
