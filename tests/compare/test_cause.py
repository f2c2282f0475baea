"""What decides a cause: distances of twins, and errors against them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_dtypes import bfloat16

from pytest_keras_golden.compare.cause import BETTER, MEANING, WORSE, cause_of

EXACT = np.random.default_rng(0).normal(size=512)
LOW = EXACT.astype(bfloat16)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_twins_beyond_rounding_are_another_meaning(precision: str) -> None:
    scale = np.sqrt(np.mean(EXACT**2))
    limit = MEANING[precision]
    for factor, cause in ((0.9, "rounding"), (1.1, "meaning")):
        moved = EXACT.copy()
        moved[7] += factor * limit * (abs(moved[7]) + scale)
        twins = moved.astype(precision), EXACT.astype(precision)
        found, figures = cause_of(LOW, LOW, *twins, "bfloat16")
        assert found == cause
        assert figures.k == pytest.approx(factor * limit * 2**23, rel=0.05)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_less_is_another_meaning_where_it_has_a_direction(precision: str) -> None:
    golden = EXACT.astype(precision)
    moved = (EXACT * (1 + 10 * 2.0**-23)).astype(precision)
    assert cause_of(LOW, LOW, moved, golden, "bfloat16")[0] == "meaning"
    signs = np.random.default_rng(1).choice([-1.0, 1.0], EXACT.size)
    rounded = (EXACT * (1 + signs * 10 * 2.0**-23)).astype(precision)
    assert cause_of(LOW, LOW, rounded, golden, "bfloat16")[0] == "rounding"
    barely = (EXACT * (1 + 2.0**-24)).astype(precision)
    assert cause_of(LOW, LOW, barely, golden, "bfloat16")[0] == "rounding"


def test_casts_that_are_new_are_of_precision_unless_they_cannot_do_it() -> None:
    single, moved = EXACT.astype(np.float32), EXACT * (1 + 1e-4)
    assert cause_of(LOW, LOW, single, EXACT, "bfloat16")[0] == "precision"
    assert cause_of(LOW, LOW, EXACT, single, "bfloat16")[0] == "precision"
    assert cause_of(LOW, LOW, moved, single, "bfloat16")[0] == "meaning"
    found, figures = cause_of(LOW.astype(np.float32), single, LOW, EXACT, "float32")
    assert (found, figures.accuracy, figures.precision) == ("precision", "worse", "bfloat16")


@pytest.mark.parametrize(
    ("twin", "accuracy"), [("float64", "equal"), ("float32", "equal"), ("bfloat16", "worse")]
)
def test_a_cast_to_a_lower_precision_has_a_lower_limit(twin: str, accuracy: str) -> None:
    run = EXACT + (LOW.astype(np.float64) - EXACT) * 2.5
    found = cause_of(run, LOW.astype(np.float64), EXACT.astype(twin), EXACT, "bfloat16")[1]
    assert found.accuracy == accuracy


def test_twins_of_the_layers_own_precision_excuse_nothing() -> None:
    single = EXACT.astype(np.float32)
    assert cause_of(single, single, single, single, "float32")[0] is None
    assert cause_of(single, single, single * np.float32(1.01), single, "float32")[0] == "meaning"


@pytest.mark.parametrize("error", [0.3, 0.6, 0.7, 1.0, 2.9, 3.1, 4.0])
def test_an_error_that_changed_is_of_precision(error: float) -> None:
    away = (LOW.astype(np.float64) - EXACT) * error
    run = (EXACT + away).astype(np.float32)
    found, figures = cause_of(run, LOW.astype(np.float32), EXACT, EXACT, "bfloat16")
    assert found == ("rounding" if BETTER < error < WORSE else "precision")
    assert figures.ratio == pytest.approx(error, rel=0.01)


def test_errors_below_rounding_tell_nothing() -> None:
    single = EXACT.astype(np.float32)
    run = np.nextafter(single, np.float32(np.inf))
    assert cause_of(run, single, EXACT, EXACT, "bfloat16")[0] == "rounding"


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.booleans())
def test_what_is_not_finite_is_equal_or_means_something_else(odd: float, both: bool) -> None:
    golden, run = EXACT.copy(), EXACT.copy()
    golden[3] = odd
    if both:
        run[3] = odd
    own = run.astype(bfloat16), golden.astype(bfloat16)
    found, figures = cause_of(*own, run, golden, "bfloat16")
    assert found == ("rounding" if both else "meaning")
    assert figures.k == (0 if both else np.inf)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_twin_that_is_not_finite_tells_nothing_where_the_layer_is(value: float) -> None:
    single, broken = EXACT.astype(np.float32), EXACT.copy()
    broken[7] = value
    assert cause_of(single, single, broken, EXACT, "float32")[0] is None
    assert cause_of(single, single, EXACT, broken, "float32")[0] is None
    # The layer itself: it is another one that is not finite, and so is its twin.
    run = broken.astype(np.float32)
    assert cause_of(run, single, broken, EXACT, "float32")[0] == "meaning"


def test_what_float32_rounds_to_within_an_epsilon_is_no_worse() -> None:
    signs = np.random.default_rng(1).choice([-1.0, 1.0], EXACT.size)
    barely = EXACT * (1 + signs * 2.0**-26)
    for away, cause in ((0.9, "rounding"), (1.1, "precision")):
        run = EXACT * (1 + signs * away * 2.0**-23)
        assert cause_of(run, barely, EXACT, EXACT, "float32")[0] == cause
