"""Sums of squares over chunks of any size and values of any magnitude."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_keras_golden.compare.sums import CHUNK, Sums, dot

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 3]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dot_product_takes_in_every_element_once(size: int, dtype: type) -> None:
    x, y = np.arange(size) % 5, np.arange(size) % 3 + 1
    assert dot(x.astype(dtype), y.astype(dtype)) == int(np.dot(x, y))


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_a_chunk_has_three_sums_in_squares_of_the_unit(size: int, unit: float) -> None:
    e, g = np.arange(size) % 5, np.arange(size) % 3 + 1
    expected = (np.dot(e, e), np.dot(e, g), np.dot(g, g))
    found = Sums(unit).of(e.astype(np.float64), g.astype(np.float64))
    assert found == tuple(int(part) * unit**2 for part in expected)


@pytest.mark.parametrize(
    ("rms", "unit"),
    [
        *((rms, 1.0) for rms in (0.0, 1.0, 1.1e-100, 0.9e100)),
        *((1e-100, 2.0**332), (1e100, 2.0**-333), (2.0**700, 2.0**-701), (2.0**-700, 2.0**699)),
        (5e-324, 2.0**1000),
    ],
)
def test_the_unit_brings_extreme_values_near_one(rms: float, unit: float) -> None:
    assert Sums.around(rms) == Sums(unit)


def test_chunks_add_up() -> None:
    sums = Sums(0.5, 1.0, 2.0, 3.0)
    sums.add((10.0, 20.0, 30.0))
    assert sums == Sums(0.5, 11.0, 22.0, 33.0)


@pytest.mark.parametrize(
    ("ee", "gg", "expected"),
    [(0.0, 0.0, 0.0), (0.0, 4.0, 0.0), (1.0, 4.0, 0.5), (1.0, 0.0, math.inf)],
)
def test_the_relative_error_of_a_zero_golden_is_nothing_or_infinite(
    ee: float, gg: float, expected: float
) -> None:
    assert Sums(1.0, ee, 0.0, gg).rel_l2() == expected


@pytest.mark.parametrize(
    ("actual", "golden", "expected"),
    [
        *(((3, 4), (3, 4), 1.0), ((3, 4), (4, 3), 0.96), ((-3, -4), (3, 4), -1.0)),
        *(((4, -3), (3, 4), 0.0), ((0, 0), (0, 0), 1.0), ((3, 4), (0, 0), 0.0)),
        ((0, 0), (3, 4), 0.0),
    ],
)
def test_the_cosine_of_actual_and_golden(
    actual: tuple[int, int], golden: tuple[int, int], expected: float
) -> None:
    sums, g = Sums(), np.array(golden, float)
    sums.add(sums.of(np.array(actual) - g, g))
    assert sums.cosine() == pytest.approx(expected, abs=1e-15)


def test_rounding_takes_no_cosine_beyond_one() -> None:
    assert [Sums(1.0, 0.0, eg, 1.0).cosine() for eg in (1e-8, -2e-8)] == [1.0, 1.0]


def test_the_rms_is_told_without_the_unit() -> None:
    assert Sums(0.5, gg=9.0).rms(4) == 3.0
    assert Sums().rms(0) == 0.0
