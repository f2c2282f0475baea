"""Checks that could not fail, and what the others detect, by injecting it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_keras_golden.case.recording import describe
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.vacuity import CHUNK, detects, vacuous
from pytest_keras_golden.records import TensorEntry, TensorRecord, Tolerance
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.tolerance import default

from .conftest import FLOATS, cast, normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")

ZEROS = "zeros and the negated tensor would pass: the tolerance exceeds every value"
SHUFFLED = "a shuffled tensor would pass: the tolerance exceeds the spread of the values"
# Every element and the rms are 1, so that each may be off by 2kε.
ONES = np.resize(np.float32([1, -1]), (8, 8))

tolerances = st.one_of(
    st.floats(0, 1e8).map(lambda k: Tolerance(k=k)),
    st.tuples(st.floats(0, 2), st.floats(0, 5)).map(lambda p: Tolerance(rtol=p[0], atol=p[1])),
)


def passes(actual: Any, golden: Any, tolerance: Tolerance) -> bool:
    return measure(actual, golden, tolerance).mismatches == 0


@given(tolerances, st.integers(0, 1000), st.sampled_from(["float32", "bfloat16", "float64"]))
def test_vacuous_exactly_where_nonsense_passes(tolerance: Tolerance, seed: int, name: str) -> None:
    golden = cast(normal((12, 9), seed), FLOATS[name])
    # Both extremes swapped: of all shuffles the one most easily caught.
    shuffled = golden.copy().ravel()
    low, high = shuffled.argmin(), shuffled.argmax()
    shuffled[[low, high]] = shuffled[[high, low]]
    nonsense = [np.zeros_like(golden), -golden, shuffled.reshape(golden.shape)]
    expected = any(passes(item, golden, tolerance) for item in nonsense)
    assert (vacuous(golden, tolerance) is not None) == expected


def test_the_default_tolerance_is_never_vacuous_for_real_tensors() -> None:
    for name, dtype in FLOATS.items():
        assert vacuous(cast(normal((16, 16)), dtype), default(name)) is None, name


def test_a_constant_or_zero_tensor_is_not_vacuous_by_itself() -> None:
    for value in (np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32), np.zeros((0,))):
        assert vacuous(value, default("float32")) is None
    assert vacuous(np.ones((8, 8), np.float32), Tolerance(rtol=0.0, atol=1.0)) is not None


def test_integers_are_exact_and_never_vacuous_unless_asked() -> None:
    values = np.arange(10)
    assert vacuous(values, default("int64")) is None
    assert vacuous(values, Tolerance(rtol=0.0, atol=9.0)) is not None
    assert vacuous(np.array([True, False]), default("bool")) is None


def test_a_spread_within_the_tolerance_lets_a_shuffle_pass() -> None:
    values = 1 + 1e-4 * normal((64, 64))
    assert vacuous(values, Tolerance(rtol=1e-2, atol=0.0)) == SHUFFLED


def test_what_is_off_by_just_the_tolerance_passes() -> None:
    assert vacuous(np.array([2.0, 3.0]), Tolerance(rtol=0.0, atol=1.0)) == SHUFFLED
    assert vacuous(np.array([2.0, 3.0]), Tolerance(rtol=0.0, atol=3.0)) == ZEROS


@pytest.mark.parametrize("at", [0, CHUNK - 1, CHUNK, -1])
def test_one_value_beyond_the_tolerance_is_enough(at: int) -> None:
    values = np.full(CHUNK + 2, 0.5)
    assert vacuous(values, Tolerance(rtol=0.0, atol=1.0)) == ZEROS
    values[at] = 10.0
    assert vacuous(values, Tolerance(rtol=0.0, atol=1.0)) is None


def test_a_chunk_without_a_finite_value_says_nothing_of_the_others() -> None:
    values = np.full(CHUNK + 2, np.nan)
    values[-2:] = 2.0, 3.0
    assert vacuous(values, Tolerance(rtol=0.0, atol=1.0)) == SHUFFLED
    assert vacuous(values, Tolerance(rtol=0.0, atol=0.9)) is None


@pytest.mark.parametrize(("precision", "reason"), [("", None), ("bfloat16", ZEROS)])
def test_epsilon_is_that_of_the_precision(precision: str, reason: str | None) -> None:
    assert vacuous(ONES, Tolerance(k=64), precision) == reason


def test_the_noise_floor_counts() -> None:
    golden = cast(normal((16, 16)), FLOATS["float32"])
    assert vacuous(golden, default("float32"), noise=100.0) is None
    assert vacuous(golden, default("float32"), noise=1e8) is not None


@given(tolerances, st.integers(0, 1000), st.sampled_from(sorted(FLOATS)))
def test_detects_is_the_smallest_drift_that_is_caught(
    tolerance: Tolerance, seed: int, name: str
) -> None:
    golden = cast(normal((8, 8), seed), FLOATS[name])
    found = detects(golden, tolerance)
    assume(found is not None and found > 1e-14)
    assert found is not None

    def injected(drift: float) -> bool:
        with np.errstate(all="ignore"):
            moved = cast(golden.astype(np.float64) * (1 + drift), FLOATS[name])
        found = measure(moved, golden, tolerance)
        return found.mismatches > 0 or found.nonfinite_changed > 0

    assert injected(found)
    assert not injected(found * 0.98)


@pytest.mark.parametrize(
    ("precision", "noise", "found"),
    [
        ("", None, 1024 * 2.0**-23),
        ("bfloat16", None, 1024 * 2.0**-7),
        ("bfloat16", 500.0, 1024 * 2.0**-7),
        ("bfloat16", 1024.0, 2048 * 2.0**-7),
    ],
)
def test_what_is_detected_lies_beyond_tolerance_and_noise(
    precision: str, noise: float | None, found: float
) -> None:
    assert detects(ONES, Tolerance(k=512), precision, noise) == pytest.approx(found, rel=0.01)
    record = TensorRecord("x", ONES, precision=precision)
    entry = describe(record, 0, Tolerance(k=512), noise)
    assert entry.detects == pytest.approx(found, rel=0.01)


@pytest.mark.parametrize("largest", [100.0, -100.0])
def test_the_largest_of_many_values_is_the_most_sensitive_wherever_it_is(largest: float) -> None:
    tolerance = Tolerance(rtol=0.0, atol=1.0)
    assert detects(np.linspace(1, largest, 200), tolerance) == pytest.approx(0.01, rel=0.01)
    values = np.repeat([2.0, 1.0, largest], CHUNK)
    assert detects(values, tolerance) == pytest.approx(0.01, rel=0.01)


def test_a_channel_with_a_scale_of_its_own_is_judged_by_it() -> None:
    values = np.resize(np.float32([1, -1]), (7000, 10)) / np.float32(1024)
    values[:, 3] *= 1000
    tolerance, unit = Tolerance(k=0.25), 2.0**-9
    # The outlier channel's elements are as large as its scale, all others 1/2.7 of theirs.
    assert detects(values, tolerance, "bfloat16") == pytest.approx(2 * unit, rel=0.01)
    # In the second chunk, smaller than the outliers, and 37 times the scale of its channel.
    values[-1, 0] *= 100
    found = detects(values, tolerance, "bfloat16")
    assert found == pytest.approx((1 + 1 / 37) * unit, rel=0.01)


def test_detects_of_integers_and_zeros() -> None:
    assert detects(np.array([3, 10, -4]), default("int64")) == pytest.approx(0.05, rel=0.01)
    assert detects(np.zeros((4, 4), np.float32), default("float32")) is None
    assert detects(np.array([True, False]), default("bool")) == pytest.approx(0.5, rel=0.01)
    assert detects(np.array([-128, 3], np.int8), default("int8")) is not None


@pytest.mark.parametrize("atol", [0.0, 5e-324, 1e-200, 1e200])
def test_detects_of_extreme_tolerances(atol: float) -> None:
    found = detects(normal((8, 8)), Tolerance(rtol=0.0, atol=atol))
    assert found is not None
    assert 2.0**-60 < found < 1e201


@pytest.mark.parametrize("name", sorted(FLOATS))
@pytest.mark.parametrize("tolerance", [Tolerance(k=5), Tolerance(rtol=0.0, atol=0.1)])
def test_values_that_are_not_finite_are_left_out(name: str, tolerance: Tolerance) -> None:
    values = normal((8, 8))
    finite = detects(cast(values, FLOATS[name])[1:], tolerance)
    values[0] = [np.nan, np.inf, -np.inf, np.nan, 0, 0, 0, 0]
    golden = cast(values, FLOATS[name])
    assert detects(golden, tolerance) == pytest.approx(finite, rel=0.2)
    assert vacuous(golden, Tolerance(rtol=0.0, atol=100.0)) is not None
    assert describe(TensorRecord("x", golden), 0, tolerance).rms > 0


def test_describe_is_what_the_metadata_says() -> None:
    value = cast(normal((2, 3, 8)), FLOATS["bfloat16"])
    record = TensorRecord("x", value, kind="attention", source="reconstructed")
    tolerance = default("bfloat16")
    rms = float(np.sqrt(np.mean(value.astype(np.float64) ** 2)))
    assert describe(record, 4, tolerance, 2.0) == TensorEntry(
        name="x",
        order=4,
        kind="attention",
        dtype="bfloat16",
        shape=(2, 3, 8),
        precision="bfloat16",
        judged=True,
        source="reconstructed",
        digest=digest(value),
        rms=float(f"{rms:.6g}"),
        detects=detects(value, tolerance, noise=2.0),
        noise=2.0,
        tolerance=tolerance,
    )


def test_an_unjudged_tensor_has_no_check_to_describe() -> None:
    record = TensorRecord("x", normal((3, 3)), judged=False, precision="float32")
    entry = describe(record, 0, default("float32"), noise=2.0)
    assert (entry.judged, entry.detects, entry.tolerance, entry.noise) == (False, None, None, 2.0)
    assert entry.precision == "float32"
