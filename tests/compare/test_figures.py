"""Reductions for the report: small, and the largest change survives them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare import figures

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 300, 8), (1, 4, 100, 100)])
def test_the_position_that_moved_is_the_hottest(shape: tuple[int, ...]) -> None:
    golden = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    run = golden.copy()
    place = tuple(size // 2 for size in shape)
    run[place] += 1
    found = figures.by_position(run, golden)
    assert found is not None
    positions = shape[-2] if len(shape) > 1 else shape[0]
    assert found.size == min(positions, figures.POSITIONS)
    where = place[-2] if len(shape) > 1 else place[0]
    assert int(found.argmax()) == where * found.size // positions
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        *(((2, 9, 4, 3), 1), ((9, 3, 4), 0), ((9, 3, 4), -3), ((3, 4, 9), 2)),
        *(((9, 4), 0), ((4, 9), 1), ((9,), 0)),
    ],
)
def test_positions_may_lie_on_another_axis(shape: tuple[int, ...], axis: int) -> None:
    golden = np.ones(shape, np.float32)
    run = golden.copy()
    place = [size - 1 for size in shape]
    place[axis] = 7
    run[tuple(place)] = 2
    found = figures.by_position(run, golden, axis=axis)
    assert found is not None
    assert found.size == 9
    assert np.flatnonzero(found).tolist() == [7]


def test_bins_reach_from_the_first_position_to_the_last() -> None:
    golden = np.ones((130, 2), np.float32)
    run = golden.copy()
    run[[0, -1]] = 2
    found = figures.by_position(run, golden)
    assert found is not None
    assert np.flatnonzero(found).tolist() == [0, figures.POSITIONS - 1]


def test_k_by_position_has_the_outcomes_unit() -> None:
    golden = np.ones((4, 8), ml_dtypes.bfloat16)
    run = golden.copy()
    run[2, 3] = 1 + 2**-7
    found = figures.by_position(run, golden)
    assert found is not None
    assert found.tolist() == [0, 0, 0.5, 0]


@given(st.integers(0, 300), st.sampled_from([np.float32, ml_dtypes.bfloat16, np.float16]))
def test_ulp_histogram_bins_are_powers_of_two(steps: int, dtype: type) -> None:
    golden = np.full(10, 1.0, dtype)
    run = golden.copy()
    run.view(f"u{golden.itemsize}")[0] += steps
    counts = figures.ulp_histogram(run, golden)
    assert counts is not None
    assert sum(counts) == 10
    wanted = 0 if steps == 0 else 1 + int(np.ceil(np.log2(steps)))
    assert counts[wanted] >= 1
    assert counts[0] == (10 if steps == 0 else 9)


@pytest.mark.parametrize(("ulps", "counted"), [(1, 1), (4, 3), (5, 4)])
def test_ulps_count_in_the_precision_not_the_storage(ulps: int, counted: int) -> None:
    golden = np.ones(4, np.float32)
    counts = figures.ulp_histogram(golden + np.float32(ulps * 2**-7), golden, "bfloat16")
    assert counts is not None
    assert counts[counted] == 4


def test_the_guilty_head_is_found_and_its_largest_change_kept() -> None:
    golden = softmax(np.random.default_rng(0).standard_normal((2, 4, 200, 200)))
    run = golden.copy()
    run[1, 3, 150, 20] -= 0.5
    found = figures.attention_map(run, golden)
    assert found is not None
    assert (found.head, found.index) == (3, (1, 3))
    assert found.difference.shape == (figures.MAP_SIDE, figures.MAP_SIDE)
    assert found.difference.min() == pytest.approx(-0.5, rel=1e-6)
    row, column = np.unravel_index(found.difference.argmin(), found.difference.shape)
    assert int(row) in (35, 36)
    assert int(column) in (4, 5)


def test_a_map_keeps_its_corners() -> None:
    golden = np.zeros((100, 100), np.float32)
    run = golden.copy()
    run[0, 0], run[-1, -1] = 0.5, -0.25
    found = figures.attention_map(run, golden)
    assert found is not None
    assert (found.difference[0, 0], found.difference[-1, -1]) == (0.5, -0.25)


def test_top_tokens_before_and_after() -> None:
    golden = np.zeros((1, 3, 6), np.float32)
    golden[0, 1] = [1, 9, 3, 8, 5, 0]
    run = golden.copy()
    run[0, 1, 3] = 10
    (row,) = figures.top_tokens(run, golden)
    assert row.row == 1
    assert [token for token, _ in row.golden] == [1, 3, 4, 2, 0]
    assert row.run[0] == (3, 10.0)
    assert [item.row for item in figures.top_tokens(run, golden, (0, 2, 99))] == [0, 2]


@pytest.mark.parametrize("array", [np.float32(1), np.zeros((0, 3), np.float32), np.zeros(3, int)])
def test_what_cannot_be_drawn_is_left_out(array: np.ndarray) -> None:
    array = np.asarray(array)
    assert figures.by_position(array, array) is None
    assert figures.attention_map(array, array) is None


def test_nonfinite_values_do_not_spread() -> None:
    golden = np.array([[1.0, np.nan], [2.0, np.inf]], np.float32)
    run = np.array([[1.5, np.nan], [np.inf, 3.0]], np.float32)
    found = figures.by_position(run, golden)
    assert found is not None
    assert np.isfinite(found).all()
    assert np.flatnonzero(found).tolist() == [0]
    assert figures.ulp_histogram(run, golden) is not None


def test_ulps_are_counted_in_all_blocks_where_both_sides_are_finite() -> None:
    golden = np.ones(2 * figures.CHUNK + 7, np.float32)
    run = golden + np.float32(3 * 2**-23)
    run[0], run[1], golden[2], golden[-1] = np.nan, -1e30, np.inf, 1 + np.float32(3 * 2**-23)
    counts = figures.ulp_histogram(run, golden)
    assert counts is not None
    assert [counts[0], counts[3], counts[-1]] == [1, golden.size - 4, 1]
    assert sum(counts) == golden.size - 2


def test_one_head_alone_is_a_map_too() -> None:
    golden = softmax(np.random.default_rng(0).standard_normal((5, 7)))
    run = golden * 2
    found = figures.attention_map(run, golden)
    assert found is not None
    assert (found.head, found.index) == (0, (0,))
    for told, wanted in (
        *((found.golden, golden), (found.run, run)),
        (found.difference, run.astype(np.float64) - golden),
    ):
        assert np.array_equal(told, wanted)
    assert figures.attention_map(golden[0], golden[0]) is None


def test_the_smallest_vocabulary_has_two_tokens() -> None:
    golden, run = np.float32([1, 2]), np.float32([np.nan, -3])
    (found,) = figures.top_tokens(run, golden, rows=(1, -1))
    assert (found.row, found.golden) == (0, ((1, 2.0), (0, 1.0)))
    assert [token for token, _ in found.run] == [1, 0]
    for shape in ((), (3, 1), (0, 5)):
        assert figures.top_tokens(np.zeros(shape), np.zeros(shape)) == []


def test_equal_logits_are_listed_in_the_order_of_their_tokens() -> None:
    golden = np.resize(np.float32([0, 1]), (1, 1000))
    (found,) = figures.top_tokens(golden, golden)
    assert [token for token, _ in found.golden] == [1, 3, 5, 7, 9]


def test_tokens_that_stay_forbidden_have_not_moved() -> None:
    golden = np.float32([[1, -np.inf, 3], [1, -np.inf, 3]])
    run = golden.copy()
    run[1, 0] = 1.5
    (found,) = figures.top_tokens(run, golden)
    assert (found.row, found.run[:2]) == (1, ((2, 3.0), (0, 1.5)))


def test_a_row_that_became_infinite_is_not_the_one_that_moved_most() -> None:
    golden = np.zeros((3, 4), np.float32)
    run = golden.copy()
    run[0, 0], run[1, 1] = np.inf, 0.5
    (found,) = figures.top_tokens(run, golden)
    assert found.row == 1


def test_infinities_on_both_sides_differ_by_nothing() -> None:
    same = np.full((2, 3, 3), -np.inf, "float32")
    found = figures.attention_map(same, same)
    assert found is not None
    assert np.array_equal(found.difference, np.zeros((3, 3)))
