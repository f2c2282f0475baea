"""Attention probabilities: variation, sums and masks."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.attention import AttentionMetrics, attention_metrics

from .conftest import normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")


def softmax(scores: Any) -> Any:
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def causal(shape: tuple[int, ...], late: float = -1e9, seed: int = 0, diagonal: int = 1) -> Any:
    hidden = np.triu(np.ones(shape[-2:], bool), diagonal)
    return softmax(np.where(hidden, late, normal(shape, seed))).astype(np.float32)


def compare(actual: Any, golden: Any, precision: str = "float32") -> AttentionMetrics:
    found = attention_metrics(actual, golden, precision)
    assert found is not None
    return found


def test_equal_probabilities() -> None:
    golden = causal((2, 3, 8, 8))
    found = compare(golden, golden)
    assert found.variation == (0.0, 0.0, 0.0)
    assert (found.unnormalised, found.masked_mass, found.leak) == (0, 0.0, 0.0)
    assert found.sentence() is None


@given(st.integers(0, 10**6))
def test_total_variation_is_half_the_distance_and_symmetric(seed: int) -> None:
    golden, actual = (softmax(normal((2, 3, 4, 6), seed + i)) for i in range(2))
    found = compare(actual, golden, "bfloat16")
    rows = np.abs(actual - golden).sum(-1) / 2
    assert found.variation == pytest.approx(tuple(rows.max(axis=(0, 2))))
    assert compare(golden, actual, "bfloat16").variation == pytest.approx(found.variation)
    assert max(found.variation) <= 1.0


@pytest.mark.parametrize(
    ("shape", "heads"), [((4, 6), 1), ((3, 4, 6), 3), ((2, 3, 4, 6), 3), ((1, 1, 1, 6), 1)]
)
def test_each_head_has_its_variation_over_all_batches(shape: tuple[int, ...], heads: int) -> None:
    golden, actual = (softmax(normal(shape, seed)).astype(np.float32) for seed in (0, 1))
    found = attention_metrics(actual, golden)
    assert found is not None
    moved = np.abs(actual.astype(float) - golden).sum(-1).reshape(-1, heads, shape[-2]) / 2
    assert found.variation == pytest.approx(tuple(moved.max(axis=(0, 2))))
    assert found.epsilon == 2.0**-23


CAUSAL = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0, 0.5, 0.25, 0.25]])
LEAKING, BARELY = [0.5, 0.375, 0.125, 0.0], [0.5, 0.5 - 2.0**-7, 2.0**-7, 0.0]
OPEN = np.array([[0.5, 0.5, 0, 0], *CAUSAL[1:]])


@pytest.mark.parametrize(
    ("golden", "rows", "variation", "masked", "causal", "leak"),
    [
        (CAUSAL, {}, 0.0, (0.0, 0), True, 0.0),
        (CAUSAL, {1: LEAKING}, 0.125, (0.125, 1), True, 0.125),
        # Query 3 puts more on key 0, which is masked but no later position.
        (CAUSAL, {3: [0.25] * 4}, 0.25, (0.25, 3), True, 0.0),
        (CAUSAL, {1: LEAKING, 3: [0.25] * 4}, 0.25, (0.25, 1), True, 0.125),
        (CAUSAL, {1: BARELY, 3: [0.25] * 4}, 0.25, (0.25, 3), True, 2.0**-7),
        (OPEN, {1: LEAKING, 3: [0.25] * 4}, 0.25, (0.25, 3), False, 0.0),
    ],
)
def test_the_worst_of_a_broken_mask_is_told(
    golden: Any,
    rows: dict[int, list[float]],
    variation: float,
    masked: tuple[float, int],
    causal: bool,
    leak: float,
) -> None:
    actual = golden.copy()
    for row, values in rows.items():
        actual[row] = values
    mass, query = masked
    found = compare(actual, golden, "bfloat16")
    assert found == AttentionMetrics((variation,), 0, mass, query, causal, leak, 2.0**-7)


def test_a_broken_causal_mask_is_called_that() -> None:
    golden, actual = causal((1, 2, 8, 8)), causal((1, 2, 8, 8), diagonal=2)
    found = compare(actual, golden)
    assert (found.causal, found.broken_mask) == (True, True)
    said = found.sentence()
    assert said is not None
    assert said.startswith("causal mask broken: query ")
    assert "later positions" in said


def test_a_cached_prefix_shifts_the_diagonal() -> None:
    golden = causal((1, 2, 4, 10), diagonal=7)
    assert compare(golden, golden).causal
    assert compare(causal((1, 2, 4, 10), diagonal=8), golden).leak > 0


def test_padding_that_is_attended_to_is_a_broken_mask() -> None:
    scores = normal((2, 2, 6, 6))
    scores[..., 4:] = -1e9
    open_scores = np.where(scores == -1e9, 0.0, scores)
    found = compare(softmax(open_scores), softmax(scores))
    assert not found.causal
    said = found.sentence()
    assert said is not None
    assert said.startswith("mask broken: query ")


def test_rows_that_no_longer_sum_to_one_are_counted() -> None:
    golden = softmax(normal((1, 2, 8, 8)))
    actual = golden.copy()
    actual[0, 1, 3] *= 1.01
    found = compare(actual, golden)
    assert found.unnormalised == 1
    assert "no longer sum to one" in str(found.sentence())
    assert compare(actual, golden, "bfloat16").unnormalised == 0


@pytest.mark.parametrize(("off", "within"), [(2.0**-5, True), (2.0**-5 + 2.0**-12, False)])
def test_rows_may_sum_to_one_but_for_four_epsilon(off: float, within: bool) -> None:
    even, uneven = np.array([[0.5, 0.5]]), np.array([[0.5, 0.5 + off]])
    assert (attention_metrics(uneven, uneven, "bfloat16") is not None) == within
    assert compare(uneven, even, "bfloat16").unnormalised == (0 if within else 1)


def test_rounding_is_neither() -> None:
    golden = causal((1, 2, 16, 16))
    actual = golden * (1 + 1e-7 * normal(golden.shape))
    assert compare(actual, golden).sentence() is None


def test_an_underflow_that_becomes_a_number_is_no_mask() -> None:
    golden = causal((1, 1, 8, 8))
    actual = np.where(golden == 0, np.float32(1e-9), golden)
    assert not compare(actual, golden).broken_mask


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (6, 7), (0, 3), (5,)])
def test_what_is_no_probability_has_no_metrics(shape: tuple[int, ...]) -> None:
    output = normal(shape)
    assert attention_metrics(output, output) is None
    assert attention_metrics(np.zeros(shape), np.zeros(shape)) is None


@pytest.mark.parametrize("row", [[0.3] * 5, [1.5, -0.5, 0.0, 0.0, 0.0]])
def test_one_head_that_holds_no_probabilities_is_enough(row: list[float]) -> None:
    output = np.full((2, 4, 5), 0.2)
    assert compare(output, output).variation == (0.0, 0.0)
    output[1, 2] = row
    assert attention_metrics(output, output) is None


def test_a_query_that_may_attend_to_nothing_is_no_contradiction() -> None:
    golden = causal((1, 2, 5, 5))
    golden[0, 0, 2] = 0.0
    assert compare(golden, golden).unnormalised == 0


def test_a_row_of_infinities_no_longer_sums_to_one() -> None:
    golden = causal((1, 2, 5, 5))
    actual = golden.copy()
    actual[0, 1, 3, :2] = np.inf, -np.inf
    assert compare(actual, golden).unnormalised == 1


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    golden, actual = causal((2, 3, 9, 9)), causal((2, 3, 9, 9), seed=4, diagonal=3)
    actual[:, :, [1, -1]] *= 1.5
    whole = compare(actual, golden)
    assert whole.unnormalised == 12
    monkeypatch.setattr(sys.modules["pytest_keras_golden.compare.attention"], "CHUNK", 20)
    assert compare(actual, golden) == whole


def test_what_is_wrong_with_a_map_is_said_and_its_figures_go_by_their_names() -> None:
    found = AttentionMetrics((0.5, 0.25), 3, 0.125, 7, True, 0.0625, 0.0625)
    assert found.to_extra() == {
        "total_variation": [0.5, 0.25],
        "unnormalised_rows": 3,
        "masked_mass": 0.125,
        "causal": True,
        "causal_leak": 0.0625,
    }
    told = [replace(found, leak=0.1).sentence(), found.sentence()]
    told += [replace(found, masked_mass=0.0).sentence()]
    told += [replace(found, masked_mass=0.0, unnormalised=0).sentence()]
    assert told == [
        "causal mask broken: query 7 puts 0.1 of its attention on later positions",
        "mask broken: query 7 puts 0.12 of its attention on masked positions",
        "3 rows of probabilities no longer sum to one",
        None,
    ]
