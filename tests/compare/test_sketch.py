"""A sketch stands for its tensor: the same size, the same rounding, and no element left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keras_golden.compare.sketch import BUDGET, LEAST, size_for, sketched

RNG = np.random.default_rng(0)


def rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype(np.float64)))))


def test_a_small_tensor_is_kept_as_it_is() -> None:
    array = RNG.normal(size=(8, 8)).astype(np.float32)
    assert sketched(array, 64) is array


@pytest.mark.parametrize("shape", [(4096,), (300, 300), (65, 3, 7), (17_000, 16)])
def test_a_sketch_has_the_size_of_its_tensor(shape: tuple[int, ...]) -> None:
    array = RNG.normal(size=shape).astype(np.float32)
    kept = sketched(array, 64)
    assert kept.shape == (64,)
    assert rms(kept) == pytest.approx(rms(array), rel=0.5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99_999), st.floats(0.01, 10))
def test_no_element_is_left_out(place: int, size: float) -> None:
    array = np.ones(100_000, np.float32)
    changed = array.copy()
    changed[place] += size
    assert not np.array_equal(sketched(array, 128), sketched(changed, 128))


def test_opposite_changes_do_not_cancel() -> None:
    array = RNG.normal(size=100_000)
    noise = np.tile([0.01, -0.01], 50_000)
    assert rms(sketched(array + noise, 128) - sketched(array, 128)) > 0.003


def test_rounding_is_no_larger_in_a_sketch_than_in_its_tensor() -> None:
    array = RNG.normal(size=1_000_000)
    rounded = array.astype(np.float32)
    off = np.abs(sketched(rounded.astype(np.float64), 256) - sketched(array, 256)).max()
    assert off / rms(array) < 4 * 2.0**-24


def test_whole_numbers_are_kept_whole() -> None:
    array = np.arange(1000, dtype=np.int32)
    assert sketched(array, 64) is array


@pytest.mark.parametrize("weights", [1, 4, 30, 200])
def test_three_steps_stay_in_the_budget(weights: int) -> None:
    assert 3 * weights * 4 * 4 * size_for(weights, 3) <= BUDGET


def test_many_weights_keep_a_few_elements_each() -> None:
    assert size_for(5000, 3) == LEAST
