"""Formats: their ε and bits, and every number of the narrow ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.compare import floats

from .conftest import BFLOAT16, FLOATS

NARROW = [dtype for dtype in FLOATS.values() if dtype.itemsize <= 2]


def every(dtype: np.dtype[Any]) -> Any:
    bits = 8 * dtype.itemsize
    return np.arange(2**bits, dtype=f"u{dtype.itemsize}").view(dtype)


@pytest.mark.parametrize(
    ("name", "bits", "working"),
    [
        *(("float64", 52, "float64"), ("float32", 23, "float32"), ("float16", 10, "float32")),
        *(
            ("bfloat16", 7, "float32"),
            ("float8_e4m3fn", 3, "float32"),
            ("float8_e5m2", 2, "float32"),
        ),
    ],
)
def test_epsilon_is_one_in_the_last_of_the_stored_bits(name: str, bits: int, working: str) -> None:
    dtype = FLOATS[name]
    assert (floats.mantissa_bits(dtype), floats.epsilon(name)) == (bits, 2.0**-bits)
    assert (floats.working_dtype(dtype).name, floats.is_exact(dtype)) == (working, False)


@pytest.mark.parametrize("name", ["bool", "int8", "uint64"])
def test_integers_have_no_epsilon(name: str) -> None:
    assert (floats.epsilon(name), floats.is_exact(np.dtype(name))) == (0.0, True)


@pytest.mark.parametrize("dtype", NARROW)
def test_every_narrow_number_becomes_itself_in_float32(dtype: np.dtype[Any]) -> None:
    numbers = every(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        expected = numbers.astype(np.float32)
    found = floats.widen(numbers, np.empty(numbers.size + 7, np.float32))
    assert np.array_equal(found, expected, equal_nan=True)


def test_what_is_wide_already_is_taken_as_it_is() -> None:
    numbers = np.float32([1, 2])
    assert floats.widen(numbers, np.empty(9, np.float32)) is numbers
    assert floats.widen(numbers, np.empty(9)).tolist() == [1, 2]


@pytest.mark.parametrize("dtype", NARROW)
def test_neighbours_are_one_step_apart_and_both_zeros_none(dtype: np.dtype[Any]) -> None:
    numbers = every(dtype)
    with np.errstate(invalid="ignore"):
        wide = numbers.astype(np.float32)
    numbers = numbers[np.isfinite(wide)]
    numbers = numbers[np.argsort(wide[np.isfinite(wide)], kind="stable")]
    zeros = numbers[1:].astype(np.float32) == numbers[:-1].astype(np.float32)
    assert np.array_equal(floats.steps(numbers[1:], numbers[:-1]), ~zeros)
    assert np.count_nonzero(zeros) == 1
    assert (np.diff(floats.ordered(numbers).astype(int)) == ~zeros).all()
    # Of all numbers one zero is counted twice.
    assert floats.steps(numbers[-1:], numbers[:1]).tolist() == [numbers.size - 2]


@pytest.mark.parametrize(
    ("dtype", "precision", "shift"),
    [
        *((np.float32, "bfloat16", 16), (np.float32, "", 0), (np.float64, "float32", 29)),
        *((BFLOAT16, "float32", 0), (BFLOAT16, "", 0), (np.float32, "int8", 0)),
    ],
)
def test_steps_of_the_storage_are_finer_by_the_bits_between(
    dtype: Any, precision: str, shift: int
) -> None:
    assert floats.ulp_shift(np.dtype(dtype), precision) == shift


@pytest.mark.parametrize(("one", "other"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_two_formats_are_compared_in_the_coarser(one: str, other: str) -> None:
    a, b = (np.array([1.0, 1.001], np.dtype(name)) for name in (one, other))
    found = floats.in_the_coarser(a, b)
    assert [array.dtype.name for array in found] == ["bfloat16", "bfloat16"]
    assert [array.tolist() for array in found] == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("one", "other"), [("int32", "float32"), ("float32", "float32"), ("int8", "int32")]
)
def test_what_has_no_coarser_format_stays_as_it_is(one: str, other: str) -> None:
    a, b = (np.array([1, 3], name) for name in (one, other))
    found = floats.in_the_coarser(a, b)
    assert found[0] is a
    assert found[1] is b
