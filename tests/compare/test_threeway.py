"""The three-way rule: accuracy against a reference in higher precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.threeway import CHUNK, ThreeWay, three_way

from .conftest import FLOATS, cast, normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")

LOW = 2.0**-7


def low(values: Any) -> Any:
    return cast(values, FLOATS["bfloat16"])


def noisy(reference: Any, strength: float, seed: int) -> Any:
    return low(reference * (1 + strength * LOW * normal(reference.shape, seed)))


def test_no_worse_than_the_baseline_passes() -> None:
    reference = normal((32, 32)).astype(np.float32)
    found = three_way(noisy(reference, 1, 1), noisy(reference, 1, 2), reference)
    assert found.passes
    assert found.accuracy == "equal"
    assert found.ratio == pytest.approx(1.0, abs=0.05)


def test_better_and_worse_are_told_with_the_ratio() -> None:
    reference = normal((32, 32)).astype(np.float32)
    good, bad = noisy(reference, 0.5, 1), noisy(reference, 4, 2)
    better, worse = three_way(good, bad, reference), three_way(bad, good, reference)
    assert (better.accuracy, better.passes) == ("better", True)
    assert (worse.accuracy, worse.passes) == ("worse", False)
    assert better.ratio == pytest.approx(1 / worse.ratio)
    assert "(worse)" in worse.sentence()


def test_one_wild_element_fails_though_the_norm_holds() -> None:
    reference = normal((128, 128)).astype(np.float32)
    baseline = low(reference)
    run = baseline.copy()
    run[5, 5] = low(float(reference[5, 5]) + 0.15)
    found = three_way(run, baseline, reference)
    assert found.ratio < 2.0 < found.worst_ratio
    assert not found.passes


def test_a_perfect_baseline_leaves_one_epsilon() -> None:
    baseline = low(normal((16, 16)))
    reference = baseline.astype(np.float32)
    assert three_way(baseline, baseline, reference).ratio == 1.0
    one_ulp = low(reference * (1 + LOW))
    found = three_way(one_ulp, baseline, reference)
    assert (found.passes, found.ratio, found.accuracy) == (True, math.inf, "worse")
    assert not three_way(low(reference * (1 + 4 * LOW)), baseline, reference).passes


def test_a_perfect_baseline_leaves_one_epsilon_to_the_norm_and_to_each_element() -> None:
    # Of rms 1 throughout: the unit of an element is 2 ε, that of the norm ε.
    reference = np.resize([1.0, -1.0], (16, 16))
    one = np.zeros_like(reference)
    one[3, 3] = 1.0
    for unit, where in ((2.0, one), (1.0, np.ones_like(reference))):
        near, far = (
            three_way(reference + size * unit * LOW * where, reference, reference, "bfloat16")
            for size in (1.9, 2.1)
        )
        assert near.passes
        assert not far.passes


@given(st.integers(0, 10**6), st.floats(0.1, 3), st.floats(1, 4))
def test_more_error_is_never_more_accurate(seed: int, strength: float, more: float) -> None:
    reference, noise = normal((9, 9), seed), normal((9, 9), seed + 1)
    baseline = low(reference)
    near, far = (
        three_way(reference + s * LOW * noise, baseline, reference, "bfloat16")
        for s in (strength, strength * more)
    )
    assert near.ratio <= far.ratio * (1 + 1e-9)
    assert near.worst_ratio <= far.worst_ratio * (1 + 1e-9)
    assert near.passes or not far.passes


def test_errors_are_those_of_the_whole_tensor_however_many_chunks_it_has() -> None:
    reference = np.resize([1.0, -1.0], 3 * CHUNK + 5)
    baseline = reference * (1 + 3 * LOW)
    run = reference.copy()
    run[:9] *= 1 + 8 * LOW
    found = three_way(run, baseline, reference, "bfloat16")
    share = math.sqrt(9 / reference.size)
    assert found == ThreeWay(
        error=pytest.approx(8 * LOW * share),
        baseline_error=pytest.approx(3 * LOW),
        worst=pytest.approx(4.0),
        baseline_worst=pytest.approx(1.5),
        ratio=pytest.approx(8 * share / 3),
        worst_ratio=pytest.approx(4 / 1.5),
        passes=False,
    )
    assert found.accuracy == "better"
    assert three_way(run, baseline, reference, "bfloat16", factor=2.7).passes


def test_the_figures_go_by_their_names() -> None:
    found = ThreeWay(0.1, 0.2, 3.0, 4.0, 0.5, 0.75, passes=True)
    assert found.to_extra() == {
        "reference": {
            "accuracy": "better",
            "ratio": 0.5,
            "worst_ratio": 0.75,
            "error": 0.1,
            "baseline_error": 0.2,
            "passes": True,
        }
    }


def test_twice_the_error_of_the_baseline_passes() -> None:
    reference = np.resize([1.0, -1.0], (16, 16))
    found = three_way(reference * (1 + 4 * LOW), reference * (1 + 2 * LOW), reference, "bfloat16")
    assert (found.ratio, found.worst_ratio, found.passes) == (2.0, 2.0, True)


def test_nothing_is_as_accurate_as_nothing() -> None:
    for zero in (np.zeros((2, 2)), np.zeros((0, 2)), np.full((2, 2), np.nan)):
        assert three_way(zero, zero, zero) == ThreeWay(0, 0, 0, 0, 1.0, 1.0, passes=True)


@pytest.mark.parametrize("odd", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_elements_that_are_not_finite_in_one_of_the_three_are_left_out(odd: Any) -> None:
    reference = np.resize([1.0, -1.0], (16, 16))
    three = reference * (1 + 3 * LOW), reference * (1 + 2 * LOW), reference
    for at in odd:
        three[at][0, 0] = np.inf
    found = three_way(*three, "bfloat16")
    assert found.error == pytest.approx(3 * LOW)
    assert found.baseline_error == pytest.approx(2 * LOW)
    assert (found.ratio, found.worst_ratio) == (pytest.approx(1.5), pytest.approx(1.5))


def test_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match="reference"):
        three_way(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 3)))
