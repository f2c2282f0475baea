"""Checks that could not fail, and what the others detect, by injecting it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_keras_golden.case.recording import describe
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.vacuity import detects, vacuous
from pytest_keras_golden.records import TensorRecord, Tolerance
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.tolerance import default

from .conftest import FLOATS, cast, normal

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
    reason = vacuous(values, Tolerance(rtol=1e-2, atol=0.0))
    assert reason is not None
    assert "shuffled" in reason


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
    entry = describe(TensorRecord("x", value, kind="attention"), 4, default("bfloat16"))
    assert (entry.name, entry.order, entry.kind) == ("x", 4, "attention")
    assert (entry.dtype, entry.shape, entry.precision) == ("bfloat16", (2, 3, 8), "bfloat16")
    assert entry.digest == digest(value)
    rms = float(np.sqrt(np.mean(value.astype(np.float64) ** 2)))
    assert entry.rms == float(f"{rms:.6g}")
    assert entry.detects is not None
    assert entry.tolerance == default("bfloat16")


def test_an_unjudged_tensor_has_no_check_to_describe() -> None:
    record = TensorRecord("x", normal((3, 3)), judged=False, precision="float32")
    entry = describe(record, 0, default("float32"), noise=2.0)
    assert (entry.detects, entry.tolerance, entry.noise) == (None, None, 2.0)
    assert entry.precision == "float32"
