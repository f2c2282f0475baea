"""Integers and booleans: no rounding, no wrap-around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.records import Tolerance

EXACT = Tolerance(rtol=0.0, atol=0.0)
DTYPES = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]


def test_unsigned_differences_do_not_wrap() -> None:
    assert measure(np.array([1], "u1"), np.array([2], "u1"), EXACT).max_abs == 1.0


def test_the_widest_difference_of_int64() -> None:
    limits = np.iinfo(np.int64)
    found = measure(np.array([limits.max]), np.array([limits.min]), EXACT)
    assert found.max_ulp == 2**64 - 1


@given(st.data(), st.sampled_from(DTYPES), st.integers(0, 300))
def test_against_python_integers(data: st.DataObject, dtype: np.dtype[Any], atol: int) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=2, max_side=7))
    a, g = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))
    found = measure(a, g, Tolerance(rtol=0.0, atol=float(atol)), block=5)
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
