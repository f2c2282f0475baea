"""What numbers count as that do not say how precise they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.numbers import (
    PYTHON_FLOAT,
    SHORT_BITS,
    Precisions,
    is_float32,
    known_precision,
)
from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.records import TensorRecord
from pytest_keras_golden.tolerance import EPSILON

from .conftest import normal

LONG = np.float64(np.float32(0.1))


def precision(value: Any, said: str = "", asked: str | None = None, policy: str = "") -> str:
    record = TensorRecord("x", np.asarray(value), precision=said)
    return Precisions(asked, policy or None).of(record).precision


def test_a_misspelt_precision_is_refused_with_the_nearest() -> None:
    assert [known_precision(name) for name in (None, *EPSILON)] == [None, *EPSILON]
    for name, hint in (("float23", "Did you mean 'float32'? "), ("exact", "")):
        with pytest.raises(ConfigError) as caught:
            known_precision(name)
        assert caught.value.problem == f"precision {name!r} is none"
        assert caught.value.fix == f"{hint}Known: {', '.join(EPSILON)}."


@pytest.mark.parametrize("value", [[True], [1], np.uint8([1])])
def test_what_is_counted_has_no_precision_whatever_was_asked(value: Any) -> None:
    assert precision(value, "float32", "bfloat16", "float16") == ""


def test_what_was_asked_holds_before_what_is_found() -> None:
    assert (
        precision([LONG], asked="float16") == precision(0.1, PYTHON_FLOAT, "float16") == "float16"
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        *(("", "float32"), ("bfloat16", "bfloat16"), ("mixed_float16", "float16")),
        *(("float64", "float64"), ("int8_from_float32", "float32")),
    ],
)
def test_a_python_float_is_what_the_model_computes_in(policy: str, expected: str) -> None:
    assert precision(0.1, PYTHON_FLOAT, policy=policy) == expected


def test_float32_numbers_in_a_float64_array_stay_what_they_were() -> None:
    assert precision([LONG, 0.5]) == "float32"
    assert precision([0.1, 0.5], "float64") == "float64"


@given(st.integers(0, 10**6))
def test_numbers_were_float32_where_none_says_more_and_one_says_as_much(seed: int) -> None:
    values = normal((8,), seed)
    narrow = values.astype(np.float32).astype(np.float64)
    assert is_float32(narrow)
    assert not is_float32(np.append(narrow, values))
    assert not is_float32(narrow.astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e300])
def test_numbers_that_tell_nothing_do_not_hide_those_that_do(value: float) -> None:
    assert is_float32(np.array([value, LONG])) == (value < 1e300 or not np.isfinite(value))
    assert not is_float32(np.array([value]))


def test_short_numbers_tell_nothing() -> None:
    longest = 2.0**SHORT_BITS - 1
    assert not is_float32(np.array([longest, 0.5, -3 * 2.0**-20]))
    assert is_float32(np.array([2 * longest + 1]))
    assert not is_float32(np.array([]))
