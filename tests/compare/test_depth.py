"""How far a tensor lies from another, as far as depth may explain it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.depth import FACTOR, Shift, furthest, shift
from pytest_keras_golden.tolerance import EPSILON

# Of rms 1 throughout: one ε of the norm is half a unit of k.
GOLDEN = np.resize(np.float32([1, -1]), (4, 6))
SHIFTS = st.builds(Shift, st.floats(0, 100), st.floats(0, 100))


def test_a_shift_is_told_in_both_measures() -> None:
    moved = GOLDEN * np.float32(1 + 6 * EPSILON["float32"])
    assert shift(moved, GOLDEN) == Shift(pytest.approx(3.0), pytest.approx(6 * EPSILON["float32"]))
    assert shift(GOLDEN, GOLDEN) == Shift(0.0, 0.0) == Shift()


def test_a_shift_is_told_in_units_of_the_precision_that_was_computed_in() -> None:
    moved = GOLDEN * np.float32(1 + 6 * EPSILON["bfloat16"])
    found = shift(moved, GOLDEN, "bfloat16")
    assert found == Shift(pytest.approx(3.0), pytest.approx(6 * EPSILON["bfloat16"]))


@pytest.mark.parametrize("other", [GOLDEN[:2], GOLDEN.astype(np.float64), GOLDEN * np.inf])
def test_other_shapes_dtypes_and_infinities_are_no_shift(other: Any) -> None:
    assert shift(other, GOLDEN) is None


def test_infinities_on_both_sides_are_left_out() -> None:
    golden, moved = GOLDEN.copy(), GOLDEN.copy()
    golden[0, 0] = moved[0, 0] = np.inf
    assert shift(moved, golden) == Shift()


@given(st.lists(SHIFTS))
def test_the_furthest_is_the_least_that_none_exceeds(shifts: list[Shift]) -> None:
    found = furthest(iter(shifts))
    assert all(each.within(found, 1.0) for each in shifts)
    assert found.k in (each.k for each in (*shifts, Shift()))
    assert found.rel_l2 in (each.rel_l2 for each in (*shifts, Shift()))


@given(SHIFTS)
def test_a_shift_is_within_four_times_another_in_both_measures(reach: Shift) -> None:
    far = Shift(FACTOR * reach.k, FACTOR * reach.rel_l2)
    assert far.within(reach)
    assert not Shift(far.k + 1e-3, far.rel_l2).within(reach)
    assert not Shift(far.k, far.rel_l2 + 1e-3).within(reach)
