"""One pass over two tensors, in chunks that see neither the channels nor each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.scale import robust_scale
from pytest_keras_golden.records import Tolerance

from .conftest import FLOATS, cast, normal

pytestmark = pytest.mark.filterwarnings("error")

CHUNKS = pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
EXACT = Tolerance(rtol=0.0, atol=0.0)


@CHUNKS
@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16"])
def test_each_element_is_judged_by_the_scale_of_its_channel(name: str, chunk: int) -> None:
    values = normal((40, 10))
    values[:, 3] *= 1000
    golden = cast(values, FLOATS[name])
    eps = 2.0 ** -{"float64": 52, "float32": 23, "bfloat16": 7}[name]
    actual = cast(golden.astype(float) * (1 + 9 * eps * normal((40, 10), 1)), FLOATS[name])
    channels = robust_scale(golden).channels
    assert channels is not None
    error = np.abs(actual.astype(float) - golden.astype(float))
    units = error / (eps * (np.abs(golden.astype(float)) + channels))
    found = measure(actual, golden, Tolerance(k=5), chunk=chunk)
    assert found.k == pytest.approx(float(units.max()))
    assert found.mismatches == np.count_nonzero(units > 5) > 0


@CHUNKS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_change_of_what_is_not_finite_counts_and_the_first_is_told(
    dtype: Any, chunk: int
) -> None:
    golden = np.resize(np.array([1, 2, np.nan, 4], dtype), (5, 40))
    actual = golden.copy()
    actual[0, 5], actual[3, 6], actual[4, 39], actual[1, 1] = np.nan, 3.0, -np.inf, 9.0
    found = measure(actual, golden, EXACT, chunk=chunk)
    assert (found.nonfinite_changed, found.nonfinite_index) == (3, (0, 5))
    assert (found.mismatches, found.max_abs, found.index) == (1, 7.0, (1, 1))
    assert (found.max_rel, found.rel_l2) == (3.5, pytest.approx(7 / _norm(actual, golden)))


def _norm(actual: Any, golden: Any) -> float:
    kept = np.isfinite(actual) & np.isfinite(golden)
    return float(np.linalg.norm(golden[kept].astype(float)))


@CHUNKS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_equal_changes_the_first_is_told(dtype: Any, chunk: int) -> None:
    golden = np.ones(200, dtype)
    actual = golden.copy()
    actual[[50, 51, 150]] = 2.0
    found = measure(actual, golden, EXACT, chunk=chunk)
    assert (found.index, found.mismatches) == ((50,), 3)


@CHUNKS
def test_the_most_steps_are_found_in_any_chunk(chunk: int) -> None:
    golden = np.resize(np.float32([1, 1e-3, -1e3, 0]), 200)
    actual = golden.copy()
    for at, steps in ((8, 3), (81, 9), (138, 5)):
        actual.view(np.int32)[at] += steps
    assert measure(actual, golden, EXACT, chunk=chunk).max_ulp == 9
    actual[199] = 2.0**-149
    assert measure(actual, golden, EXACT, chunk=chunk).max_ulp == 9
    actual[199] = -(2.0**-145)
    assert measure(actual, golden, EXACT, chunk=chunk).max_ulp == 16


@CHUNKS
def test_a_zero_that_changes_hides_no_larger_change(chunk: int) -> None:
    golden = np.resize(np.float32([0, 4]), 200)
    actual = golden.copy()
    actual[100], actual[151] = 1e-3, 5.0
    found = measure(actual, golden, Tolerance(rtol=0.0, atol=0.5), chunk=chunk)
    assert (found.max_rel, found.max_abs, found.index) == (np.inf, 1.0, (151,))
    assert found.mismatches == 1


@CHUNKS
def test_steps_from_zeros_are_counted_beside_ordinary_errors(chunk: int) -> None:
    golden = np.resize(np.float32([0, 1]), 200)
    actual = golden.copy()
    for at, value in ((2, 2.0**-110), (150, 2.0**-100)):
        actual[at], actual[at + 1] = value, 1.5
    # The bits of 2⁻¹⁰⁰ as an integer.
    assert measure(actual, golden, EXACT, chunk=chunk).max_ulp == 27 << 23


@CHUNKS
def test_a_zero_that_changes_is_infinitely_far_beside_any_ratio(chunk: int) -> None:
    golden = np.resize(np.float32([0, 1e-25, 1, 1]), 200)
    actual = golden.copy()
    actual[100:103] = 1e-30, 1e-5, 2.0
    assert measure(actual, golden, EXACT, chunk=chunk).max_rel == np.inf


@CHUNKS
def test_one_change_of_a_golden_of_zeros_is_infinitely_many_units(chunk: int) -> None:
    golden = np.zeros(200, np.float32)
    actual = golden.copy()
    actual[150] = 1e-30
    found = measure(actual, golden, Tolerance(k=64), chunk=chunk)
    assert (found.k, found.mismatches, found.index) == (np.inf, 1, (150,))


@pytest.mark.parametrize(
    ("actual", "golden", "rel_l2"),
    [
        *(([1.0, 1.0], [1e-30, 1e-30], 1e30), ([1e30, 1e30], [1.0, 1.0], 1e30)),
        *(([1.0, 2e-24], [1.0, 1e-24], 1e-24), ([1.0, np.nan], [1.0, np.nan], 0.0)),
    ],
)
def test_float32_products_neither_vanish_nor_overflow(
    actual: list[float], golden: list[float], rel_l2: float
) -> None:
    found = measure(np.float32(actual), np.float32(golden), EXACT)
    assert found.rel_l2 == pytest.approx(rel_l2, rel=1e-6, abs=0.0)
    assert (found.max_rel == 0.0) == (rel_l2 == 0.0)
