"""Integers and booleans: no rounding, no wrap-around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_keras_golden.compare.exact import Exact, in_one_width, measure_exact
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.sums import Sums
from pytest_keras_golden.records import Tolerance

EXACT = Tolerance(rtol=0.0, atol=0.0)
DTYPES = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]


def test_unsigned_differences_do_not_wrap() -> None:
    assert measure(np.array([1], "u1"), np.array([2], "u1"), EXACT).max_abs == 1.0


def test_the_widest_difference_of_int64() -> None:
    limits = np.iinfo(np.int64)
    found = measure(np.array([limits.max]), np.array([limits.min]), EXACT)
    assert found.max_ulp == 2**64 - 1


@pytest.mark.parametrize("chunk", [1, 2, 3, 9])
@pytest.mark.parametrize(
    ("tolerance", "mismatches"),
    [
        *((EXACT, 4), (Tolerance(rtol=0.0, atol=1.9), 2), (Tolerance(rtol=0.0, atol=2.0), 0)),
        *((Tolerance(rtol=0.25, atol=0.0), 1), (Tolerance(rtol=0.25, atol=0.25), 0)),
    ],
)
def test_all_that_is_found_of_a_few_integers(
    chunk: int, tolerance: Tolerance, mismatches: int
) -> None:
    golden, actual = np.array([3, 8, -4, -8, 0]), np.array([4, 10, -5, -6, 0])
    found = measure_exact(actual, golden, tolerance, chunk)
    sums = Sums(1.0, 1 + 4 + 1 + 4, 3 + 16 + 4 - 16, 9 + 64 + 16 + 64)
    assert found == Exact(mismatches, largest=2, at=1, max_rel=pytest.approx(1 / 3), sums=sums)


def test_unsigned_errors_have_a_sign() -> None:
    found = measure_exact(np.array([1, 5], "u1"), np.array([2, 3], "u1"), EXACT, 9)
    assert found == Exact(2, 2, 1, pytest.approx(2 / 3), Sums(1.0, 5.0, 4.0, 13.0))


def test_the_widest_difference_of_uint64() -> None:
    wide = np.array([2**64 - 1, 1], np.uint64)
    found = measure_exact(wide, wide[::-1], EXACT, 9)
    assert (found.largest, found.max_rel) == (2**64 - 2, pytest.approx(2.0**64))


@pytest.mark.parametrize(("actual", "mismatches"), [(0, 0), (1, 1)])
def test_a_distance_beyond_int64_is_not_rounded(actual: int, mismatches: int) -> None:
    golden = np.array([np.iinfo(np.int64).min])
    found = measure_exact(np.array([actual]), golden, Tolerance(rtol=0.0, atol=2.0**63), 9)
    assert found.mismatches == mismatches


def test_nothing_is_nowhere() -> None:
    same = np.array([3, 4])
    assert measure_exact(same, same, EXACT, 9) == Exact(sums=Sums(1.0, 0.0, 0.0, 25.0))


@pytest.mark.parametrize(("atol", "mismatches"), [(2.0**63, 1), (2.0**64, 0), (1e300, 0)])
def test_a_tolerance_beyond_the_range_lets_everything_pass(atol: float, mismatches: int) -> None:
    limits = np.iinfo(np.int64)
    apart = np.array([limits.max]), np.array([limits.min])
    found = measure_exact(*apart, Tolerance(rtol=0.0, atol=atol), 9)
    assert found.mismatches == mismatches


@given(st.data(), st.sampled_from(DTYPES), st.integers(0, 300))
def test_against_python_integers(data: st.DataObject, dtype: np.dtype[Any], atol: int) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=2, max_side=7))
    a, g = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))
    found = measure(a, g, Tolerance(rtol=0.0, atol=float(atol)), chunk=5)
    apart = [abs(int(x) - int(y)) for x, y in zip(a.ravel(), g.ravel(), strict=True)]
    assert found.max_ulp == max(apart)
    assert found.mismatches == sum(distance > atol for distance in apart)


@given(hnp.arrays(bool, 9), hnp.arrays(bool, 9))
def test_booleans(a: Any, g: Any) -> None:
    assert measure(a, g, EXACT).mismatches == int(np.count_nonzero(a != g))


@pytest.mark.parametrize("tolerance", [EXACT, Tolerance(k=64)])
def test_a_k_lets_no_integer_change(tolerance: Tolerance) -> None:
    found = measure(np.array([1, 2, 4]), np.array([1, 2, 3]), tolerance)
    assert (found.mismatches, found.index) == (1, (2,))
    assert found.bias is None


@given(hnp.arrays(np.int32, 9), st.sampled_from(DTYPES))
def test_integers_of_two_widths_are_compared_by_their_numbers(a: Any, dtype: np.dtype[Any]) -> None:
    b = a.astype(dtype)
    one, other = in_one_width(a, b)
    assert (one.tolist(), other.tolist()) == (a.tolist(), b.tolist())
    # No integer dtype holds both.
    assert one.dtype == other.dtype or dtype == np.uint64


@pytest.mark.parametrize(("one", "other"), [("bool", "int32"), ("int32", "float32")])
def test_what_are_not_both_integers_stay_as_they_are(one: str, other: str) -> None:
    a, b = np.ones(2, one), np.ones(2, other)
    found = in_one_width(a, b)
    assert found[0] is a
    assert found[1] is b
