"""Metrics against oracles that are slow and plain: float64, Fractions, counting neighbours."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_keras_golden.compare.metrics import Metrics, measure
from pytest_keras_golden.records import Tolerance
from pytest_keras_golden.tolerance import EPSILON, default

from .conftest import BFLOAT16, FLOATS, cast, normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")

EXACT = Tolerance(rtol=0.0, atol=0.0)
names = st.sampled_from(sorted(FLOATS))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Any two finite bit patterns of one format and shape."""
    dtype = FLOATS[draw(names)]
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=6))
    unsigned = f"u{dtype.itemsize}"
    a, g = (draw(hnp.arrays(unsigned, shape)).view(dtype) for _ in range(2))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        finite = np.isfinite(a.astype(np.float64)) & np.isfinite(g.astype(np.float64))
    zero = np.zeros((), dtype)
    return np.where(finite, a, zero).astype(dtype), np.where(finite, g, zero).astype(dtype)


@st.composite
def near_pairs(draw: st.DrawFn) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A tensor and what rounding-level noise makes of it."""
    name = draw(names)
    seed, strength = draw(st.integers(0, 10**6)), draw(st.floats(0, 8))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=17))
    golden = cast(normal(shape, seed), FLOATS[name])
    noise = 1 + strength * EPSILON[name] * normal(shape, seed + 1)
    return cast(golden.astype(np.float64) * noise, FLOATS[name]), golden


def exact(values: npt.NDArray[Any]) -> list[Fraction]:
    return [Fraction(float(value)) for value in values.reshape(-1)]


@given(pairs())
def test_max_abs_and_max_rel_are_those_of_rational_arithmetic(pair: Any) -> None:
    actual, golden = pair
    found = measure(actual, golden, EXACT)
    errors = [abs(a - g) for a, g in zip(exact(actual), exact(golden), strict=True)]
    # A zero ranks as the smallest subnormal: beside subnormal errors its infinite ratio may lose.
    assume(all(g or not e or e > 1e-30 for e, g in zip(errors, exact(golden), strict=True)))
    ratios = [
        e / abs(g) if g else (math.inf if e else 0)
        for e, g in zip(errors, exact(golden), strict=True)
    ]
    assert found.max_abs == pytest.approx(float_of(max(errors)), rel=1e-6)
    assert found.max_rel == pytest.approx(float_of(max(ratios)), rel=1e-6)
    assert found.mismatches == sum(error > 0 for error in errors)
    if found.index is not None:
        at = int(np.ravel_multi_index(found.index, golden.shape)) if golden.shape else 0
        assert float_of(errors[at]) == pytest.approx(found.max_abs, rel=1e-6)


def float_of(value: Fraction | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


@given(near_pairs())
def test_sums_are_those_of_float64(pair: Any) -> None:
    actual, golden = pair
    found = measure(actual, golden, EXACT)
    a, g = actual.astype(np.float64).ravel(), golden.astype(np.float64).ravel()
    assume(np.linalg.norm(g) > 0 and np.linalg.norm(a) > 0)
    norms = np.linalg.norm(a) * np.linalg.norm(g)
    assert found.rel_l2 == pytest.approx(np.linalg.norm(a - g) / np.linalg.norm(g), rel=1e-5)
    assert found.cosine == pytest.approx(float(a @ g) / norms, abs=1e-6)


@given(pairs())
def test_ulp_distance_counts_the_values_between(pair: Any) -> None:
    actual, golden = pair
    ranks = [
        rank(value) - rank(other) for value, other in zip(flat(actual), flat(golden), strict=True)
    ]
    assert measure(actual, golden, EXACT).max_ulp == max(abs(number) for number in ranks)


def flat(values: npt.NDArray[Any]) -> list[Any]:
    return list(values.reshape(-1))


def rank(value: Any) -> int:
    """How many representable values lie between 0 and the value, from its text in binary."""
    bits = value.dtype.itemsize * 8
    text = format(int.from_bytes(value.tobytes(), "little"), f"0{bits}b")
    return int(text[1:], 2) * (-1 if text[0] == "1" else 1)


@pytest.mark.parametrize("count", [0, 1, 5, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ulp_distance_is_the_number_of_nextafter_steps(count: int, dtype: Any) -> None:
    for start in (1.0, -3.7, 0.0, 2.0**-149 if dtype is np.float32 else 2.0**-1074):
        value = dtype(start)
        for _ in range(count):
            value = np.nextafter(value, dtype(10.0))
        assert measure(np.array([value]), np.array([dtype(start)]), EXACT).max_ulp == count


def test_every_metric_of_floating_point_numbers() -> None:
    golden, actual = np.array([3.0, -4.0, 0.0, 12.0]), np.array([3.0, -4.0, 0.0, 15.0])
    assert replace(measure(actual, golden, EXACT), bias=None) == Metrics(
        size=4,
        mismatches=1,
        max_abs=3.0,
        max_rel=0.25,
        index=(3,),
        k=pytest.approx(3 / (2.0**-52 * (12 + 6.5))),
        rel_l2=pytest.approx(3 / 13),
        cosine=pytest.approx((9 + 16 + 180) / (13 * math.sqrt(250))),
        max_ulp=3 << 49,
        scale=pytest.approx(6.5),
    )


def test_every_metric_of_integers() -> None:
    golden, actual = np.array([3, -4, 0, 12]), np.array([3, -4, 5, 12])
    changed = Metrics(
        size=4,
        mismatches=1,
        max_abs=5.0,
        max_rel=math.inf,
        index=(2,),
        k=math.inf,
        rel_l2=pytest.approx(5 / 13),
        cosine=pytest.approx(13 / math.sqrt(194)),
        max_ulp=5,
        scale=pytest.approx(6.5),
    )
    assert measure(actual, golden, EXACT) == changed
    assert measure(golden, golden, EXACT).k == 0.0


def test_ulp_of_a_coarser_precision_counts_its_steps() -> None:
    golden = np.array([1.0], np.float32)
    actual = np.array([1.0 + 3 * 2.0**-7], np.float32)
    assert measure(actual, golden, EXACT, "bfloat16").max_ulp == 3
    assert measure(np.nextafter(golden, np.float32(2)), golden, EXACT, "bfloat16").max_ulp == 1


@given(near_pairs(), st.integers(1, 40))
def test_chunk_size_changes_nothing(pair: Any, chunk: int) -> None:
    actual, golden = pair
    tolerance = default(golden.dtype.name)
    agree(measure(actual, golden, tolerance), measure(actual, golden, tolerance, chunk=chunk))


@given(near_pairs())
def test_memory_order_changes_nothing(pair: Any) -> None:
    actual, golden = pair
    tolerance = default(golden.dtype.name)
    strided = np.empty((*golden.shape, 2), golden.dtype)[..., 0]
    strided[...] = golden
    whole = measure(actual, golden, tolerance)
    agree(whole, measure(np.asarray(actual, order="F"), strided, tolerance))


def agree(one: Metrics, other: Metrics) -> None:
    for name in Metrics.__dataclass_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if name in ("rel_l2", "cosine"):
            assert left == pytest.approx(right, rel=1e-6)
        else:
            assert left == right, name


@given(near_pairs())
def test_swapping_the_sides_keeps_what_is_symmetric(pair: Any) -> None:
    actual, golden = pair
    tolerance = Tolerance(rtol=0.0, atol=0.01)
    there, back = measure(actual, golden, tolerance), measure(golden, actual, tolerance)
    assert there.max_abs == back.max_abs
    assert there.mismatches == back.mismatches
    assert there.max_ulp == back.max_ulp
    assert there.index == back.index
    assert there.cosine == pytest.approx(back.cosine, abs=1e-6)


@given(st.integers(0, 10**6), names, st.floats(0, 30), st.floats(1, 4))
def test_metrics_grow_with_the_perturbation(
    seed: int, name: str, strength: float, more: float
) -> None:
    golden = cast(normal((9, 16), seed), FLOATS[name])
    noise = strength * EPSILON[name] * normal((9, 16), seed + 1)
    tolerance = default(name)
    near, far = (
        measure(cast(golden.astype(np.float64) + by * noise, FLOATS[name]), golden, tolerance)
        for by in (1.0, more)
    )
    for metric in ("max_abs", "max_rel", "k", "max_ulp", "mismatches", "rel_l2"):
        assert getattr(near, metric) <= getattr(far, metric) * (1 + 1e-6), metric


@given(near_pairs())
def test_low_precision_is_judged_as_float64_would(pair: Any) -> None:
    actual, golden = pair
    tolerance = Tolerance(rtol=0.01, atol=0.003)
    a, g = actual.astype(np.float64), golden.astype(np.float64)
    wrong = np.count_nonzero(np.abs(a - g) > 0.003 + 0.01 * np.abs(g))
    assert measure(actual, golden, tolerance).mismatches == wrong


def test_the_rule_is_inclusive() -> None:
    golden, actual = np.array([2.0, 2.0]), np.array([2.5, 2.5])
    assert measure(actual, golden, Tolerance(rtol=0.0, atol=0.5)).mismatches == 0
    assert measure(actual, golden, Tolerance(rtol=0.25, atol=0.0)).mismatches == 0
    below = float(np.nextafter(0.5, 0.0))
    assert measure(actual, golden, Tolerance(rtol=0.0, atol=below)).mismatches == 2


def test_float32_at_the_limit_is_decided_in_float64() -> None:
    golden = np.array([1.0, 3.0], np.float32)
    actual = np.nextafter(golden, np.float32(4.0))
    error = float(actual[0]) - 1.0
    assert measure(actual, golden, Tolerance(rtol=0.0, atol=2 * error)).mismatches == 0
    just_below = 2 * error * (1 - 1e-9)
    assert measure(actual, golden, Tolerance(rtol=0.0, atol=just_below)).mismatches == 1


def test_k_is_in_units_of_epsilon_and_scale() -> None:
    golden = cast(normal((64, 64)), FLOATS["float32"])
    actual = golden.copy()
    actual[3, 4] += np.float32(1e-3)
    scale = math.sqrt(float(np.mean(golden.astype(np.float64) ** 2)))
    error = float(actual[3, 4]) - float(golden[3, 4])
    k = error / (2.0**-23 * (abs(float(golden[3, 4])) + scale))
    found = measure(actual, golden, Tolerance(k=k * (1 + 1e-9)))
    assert found.k == pytest.approx(k, rel=1e-9)
    assert (found.mismatches, found.index) == (0, (3, 4))
    assert measure(actual, golden, Tolerance(k=k * (1 - 1e-9))).mismatches == 1


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16"])
def test_equal_infinities_and_nans_are_equal(name: str) -> None:
    values = normal((40,))
    values[:3] = np.nan, np.inf, -np.inf
    golden = cast(values, FLOATS[name])
    found = measure(golden.copy(), golden, EXACT)
    assert (found.nonfinite_changed, found.mismatches, found.max_ulp) == (0, 0, 0)
    values[20] += 1.0
    found = measure(cast(values, FLOATS[name]), golden, EXACT)
    assert (found.nonfinite_changed, found.mismatches, found.index) == (0, 1, (20,))


@pytest.mark.parametrize("was", [1.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("now", [1.0, np.inf, -np.inf, np.nan])
def test_a_changed_pattern_is_counted_and_located(was: float, now: float) -> None:
    golden, actual = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    golden[2, 1], actual[2, 1] = was, now
    found = measure(actual, golden, Tolerance(k=64))
    same = was == now or (np.isnan(was) and np.isnan(now))
    assert found.nonfinite_changed == (0 if same else 1)
    assert found.nonfinite_index == (None if same else (2, 1))


def test_float8_overflow_is_nan() -> None:
    golden = cast([1.0, 2.0], FLOATS["float8_e4m3fn"])
    actual = cast([1.0, 1e6], FLOATS["float8_e4m3fn"])
    assert measure(actual, golden, Tolerance(k=2)).nonfinite_changed == 1


@pytest.mark.parametrize("size", [1e-30, 1e-42, 1e30, 3e38])
def test_extreme_float32_neither_vanishes_nor_overflows(size: float) -> None:
    golden = (normal((50,)) / 4 * size).astype(np.float32)
    actual = (golden * np.float32(0.5)).astype(np.float32)
    found = measure(actual, golden, Tolerance(k=64))
    a, g = actual.astype(np.float64), golden.astype(np.float64)
    assert found.rel_l2 == pytest.approx(np.linalg.norm(a - g) / np.linalg.norm(g), rel=1e-6)
    assert found.mismatches == np.count_nonzero(golden)


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e300])
def test_extreme_float64_neither_vanishes_nor_overflows(size: float) -> None:
    golden = normal((50,)) * size
    found = measure(golden * 0.5, golden, Tolerance(k=64))
    assert found.rel_l2 == pytest.approx(0.5, rel=1e-9)
    assert found.cosine == pytest.approx(1.0)


def test_opposite_float32_extremes_have_a_finite_distance() -> None:
    largest = np.finfo(np.float32).max
    found = measure(np.array([largest]), np.array([-largest]), EXACT)
    assert found.max_abs == 2.0 * float(largest)


def test_a_zero_that_changes_is_infinitely_far_relatively() -> None:
    found = measure(np.array([1e-3, 1.0], "f4"), np.array([0.0, 1.0], "f4"), Tolerance(k=64))
    assert found.max_rel == math.inf
    assert found.mismatches == 1


def test_all_zero_goldens() -> None:
    zero, tiny = np.zeros((8, 8), np.float32), np.full((8, 8), 1e-30, np.float32)
    assert measure(zero, zero, Tolerance(k=64)).cosine == 1.0
    found = measure(tiny, zero, Tolerance(k=64))
    assert (found.k, found.rel_l2, found.mismatches) == (math.inf, math.inf, 64)


def test_minus_zero_is_zero() -> None:
    found = measure(np.array([-0.0, 1.0], "f4"), np.array([0.0, 1.0], "f4"), EXACT)
    assert (found.mismatches, found.max_ulp, found.max_abs) == (0, 0, 0.0)


@pytest.mark.parametrize("dtype", [*FLOATS.values(), np.dtype("int32"), np.dtype(bool)])
def test_empty_and_scalar_tensors(dtype: np.dtype[Any]) -> None:
    empty, scalar = np.zeros((0, 3), dtype), np.ones((), dtype)
    assert measure(empty, empty, EXACT).mismatches == 0
    assert measure(scalar, np.zeros((), dtype), EXACT).mismatches == 1
    assert measure(scalar, np.zeros((), dtype), EXACT).index == ()


def test_other_shapes_and_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot measure"):
        measure(np.zeros(2), np.zeros(3), EXACT)
    with pytest.raises(ValueError, match="cannot measure"):
        measure(np.zeros(2), np.zeros(2, np.float32), EXACT)


def test_nothing_below_the_noise_floor_is_a_mismatch() -> None:
    golden = cast(normal((32, 32)), FLOATS["float32"])
    actual = (golden * np.float32(1.0001)).astype(np.float32)
    k = measure(actual, golden, Tolerance(k=64)).k
    assert measure(actual, golden, Tolerance(k=64)).mismatches > 0
    assert measure(actual, golden, Tolerance(k=64), noise=k * 1.001).mismatches == 0
    strict = Tolerance(rtol=1e-9, atol=0.0)
    assert measure(actual, golden, strict, noise=k * 1.001).mismatches == 0
    assert measure(actual, golden, strict, noise=k * 0.5).mismatches > 0


def test_a_memory_map_is_read_chunk_by_chunk(tmp_path: Path) -> None:
    size = 24 << 20
    path = tmp_path / "golden.raw"
    golden = np.memmap(path, np.float32, "w+", shape=(size // 4096, 1024))
    golden[...] = np.float32(1.5)
    actual = np.memmap(path, np.uint16, "r", shape=(size // 4096, 2048)).view(BFLOAT16)
    changed = np.array(actual)
    changed[-1, -1] = 7
    tracemalloc.start()
    found = measure(changed, actual, Tolerance(k=5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.mismatches == 1
    assert peak < 16 << 20
