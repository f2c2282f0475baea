"""The elementwise rule, for one precision."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_keras_golden.compare.limits import Limits
from pytest_keras_golden.records import Tolerance

EPSILON = 0.125
RELATIVE, ABSOLUTE = Tolerance(k=4), Tolerance(rtol=0.5, atol=0.25)


@pytest.mark.parametrize(
    ("tolerance", "noise", "allowed"),
    [
        # kε of 2 and of 10, which are magnitude and scale.
        *((RELATIVE, None, [1.0, 5.0]), (RELATIVE, 3.0, [1.0, 5.0]), (RELATIVE, 8.0, [2.0, 10.0])),
        *((ABSOLUTE, None, [0.25, 4.25]), (ABSOLUTE, 2.0, [0.5, 4.25])),
        *((ABSOLUTE, 8.0, [2.0, 10.0]), (Tolerance(k=0), None, [0.0, 0.0])),
    ],
)
def test_what_an_element_may_be_off_by(
    tolerance: Tolerance, noise: float | None, allowed: list[float]
) -> None:
    limits = Limits(tolerance, EPSILON, noise)
    assert limits.bound(np.array([0.0, 8.0]), 2.0).tolist() == allowed
    assert limits.bound(np.array([0.0, 8.0]), np.array([2.0, 2.0])).tolist() == allowed


@pytest.mark.parametrize(
    ("k", "units", "expected"),
    [
        *((4, 0.0, False), (4, 0.5 * (1 - 2e-6), False), (4, 0.5 * (1 - 5e-7), True)),
        *((4, 0.5, True), (4, 0.6, True), (0, 0.0, False), (0, 1e-30, True)),
    ],
)
def test_a_block_is_looked_into_where_its_largest_comes_near(
    k: float, units: float, expected: bool
) -> None:
    nothing = np.zeros(1)
    limits = Limits(Tolerance(k=k), EPSILON, None)
    assert limits.may_be_exceeded(units, nothing, nothing) == expected


@pytest.mark.parametrize(
    ("error", "noise", "expected"),
    [
        *(([0.2, 4.2], None, False), ([0.25, 4.2], None, True), ([0.2, 4.25], None, True)),
        *(
            ([0.2, 4.25 * (1 - 2e-6)], None, False),
            ([0.2, 5.0], 8.0, False),
            ([0.2, 20.0], 8.0, True),
        ),
    ],
)
def test_under_rtol_and_atol_each_element_counts(
    error: list[float], noise: float | None, expected: bool
) -> None:
    magnitude, found = np.array([0.0, 8.0]), np.array(error)
    units = float((found / (magnitude + 2.0)).max())
    limits = Limits(ABSOLUTE, EPSILON, noise)
    assert limits.may_be_exceeded(units, found, magnitude) == expected
