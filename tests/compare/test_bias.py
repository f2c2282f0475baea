"""The test of bias: rounding is never called systematic, a changed constant is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.bias import Bias, sample_bias
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.tolerance import EPSILON, default

from .conftest import FLOATS, cast, normal

LOW = 2.0**-7


def bias(actual: Any, golden: Any, name: str = "bfloat16") -> Bias:
    dtype = FLOATS[name]
    found = measure(cast(actual, dtype), cast(golden, dtype), default(name), name)
    assert found.bias is not None
    return found.bias


def rounded(values: Any, name: str = "bfloat16") -> Any:
    return cast(values, FLOATS[name]).astype(np.float64)


@pytest.mark.parametrize("size", [-0.5, 0.3, 0.5, 2.0])
def test_a_scale_below_one_ulp_is_systematic(size: float) -> None:
    golden = normal((4, 32, 64))
    found = bias(golden * (1 + size * LOW), golden)
    assert found.systematic
    assert found.slope == pytest.approx(size, abs=0.05)


def test_its_size_is_told_in_percent() -> None:
    golden = normal((4, 32, 64))
    said = bias(golden * 0.995, golden).sentence("bfloat16")
    assert said.startswith("systematic: outputs are 0.5")
    assert said.endswith("% smaller")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        # Of the midpoint, in units of 2⁻⁷: twice as large is 2/3 of what lies between.
        (Bias(128 / 3, 9, 0, 0), "are 40 % larger"),
        (Bias(256 / 3, -9, 0, 0), "are 100 % larger"),
        (Bias(-256 / 3, 9, 0, 0), "are 50 % smaller"),
        (Bias(256, 9, 0, 0), "are inf % larger"),
        (Bias(320, 9, 0, 0), "are inf % larger"),
        (Bias(0, 0, 0.5, 9), "lie 0.39 % of their rms above the golden's"),
        (Bias(0, 0, -64, -9), "lie 50 % of their rms below the golden's"),
        (Bias(0, 0, 0, 0, curve=1.5), "of one size are off by 1.2 % alike"),
    ],
)
def test_each_kind_of_bias_has_its_sentence(found: Bias, said: str) -> None:
    assert found.sentence("bfloat16") == f"systematic: outputs {said}"


def test_another_function_is_systematic_where_no_line_fits_it() -> None:
    x = rounded(normal((8, 32, 64)))
    gelu = 0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))
    found = bias(x / (1 + np.exp(-1.702 * x)), gelu)
    assert found.systematic
    assert abs(found.slope) < 0.2
    assert 1.0 < found.curve < 2.0
    assert "outputs of one size are off by" in found.sentence("bfloat16")
    assert not bias(rounded(gelu), gelu).systematic
    # Two good implementations of exp differ like that in float32.
    assert bias(x / (1 + np.exp(-1.702 * x)), gelu, "float32").curve == 0.0


def test_an_offset_below_one_ulp_is_systematic() -> None:
    golden = normal((4, 32, 64))
    found = bias(golden - 0.5 * LOW, golden)
    assert found.systematic
    assert abs(found.slope) < 0.1
    assert "below" in found.sentence("bfloat16")


@given(st.integers(0, 10**6))
def test_rounding_alone_is_not_systematic(seed: int) -> None:
    exact = normal((16, 32), seed)
    halves = rounded(exact * 0.3) + rounded(exact * 0.7)
    assert not bias(halves, exact).systematic


@given(st.integers(0, 10**6), st.sampled_from(["bfloat16", "float32", "float16"]))
def test_a_rounded_statistic_per_row_is_not_systematic(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 40))
    golden, factor = rng.standard_normal((rows, 64)), np.exp(rng.standard_normal((rows, 1)))
    assert not bias(golden * rounded(factor, name), golden * factor, name).systematic


@given(st.integers(0, 10**6))
def test_few_or_saturated_values_are_few_observations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.standard_normal(int(rng.integers(1, 7)))
    values = table[rng.integers(0, len(table), (64, 64))]
    assert not bias(rounded(rounded(values * 0.7) * 0.3), values * 0.21).systematic
    clipped = rounded(np.clip(6 * rng.standard_normal((64, 64)), 0, 6))
    assert not bias(rounded(rounded(clipped * 0.7) * 0.3), clipped * 0.21).systematic


def test_half_the_values_saturated_hide_no_scale() -> None:
    golden = np.maximum(normal((64, 64)), 0.0)
    assert bias(golden * (1 - 0.5 * LOW), golden).systematic


def test_wild_elements_are_no_bias() -> None:
    golden = normal((64, 64))
    actual = golden.copy()
    actual[::9, ::9] += 3.0
    assert not bias(actual, golden).systematic


@given(st.integers(0, 10**6))
def test_wild_elements_among_rounded_ones_are_no_bias(seed: int) -> None:
    exact = normal((64, 64), seed)
    halves = rounded(exact * 0.3) + rounded(exact * 0.7)
    wild = np.random.default_rng(seed).random(exact.shape) < 0.03
    assert not bias(np.where(wild, halves * 1.2, halves), exact).systematic


def test_a_rounded_statistic_per_example_is_not_systematic() -> None:
    """Six of eight were rounded upwards: as rows, of which each has many, they would be proof."""
    golden = normal((8, 64, 64))
    up = np.arange(8)[:, None, None] % 4 > 0
    assert not bias(golden * (1 + np.where(up, 0.5, -0.5) * LOW), golden).systematic


def near_one(shape: tuple[int, ...]) -> Any:
    """All of one weight, and no two of one value."""
    return 1 + 1e-3 * normal(shape)


@pytest.mark.parametrize(
    ("shape", "axis"), [((8, 512), 0), ((512, 8), 1), ((2, 8), 1), ((8, 64, 64), 0)]
)
def test_what_shares_a_row_a_channel_or_an_example_is_one_observation(
    shape: tuple[int, ...], axis: int
) -> None:
    # Six are up and two down by 100 ε: their mean is 50, with a standard error of √(60000 / 56).
    up = np.expand_dims(np.arange(8) % 4 > 0, [at for at in range(len(shape)) if at != axis])
    golden, unit = near_one(shape), EPSILON["float32"]
    found = bias(golden * (1 + np.where(up, 100, -100) * unit), golden, "float32")
    assert found.slope == pytest.approx(50, rel=0.01)
    assert found.slope_t == pytest.approx(50 / math.sqrt(60000 / 56), rel=0.01)


def test_fewer_than_eight_channels_prove_nothing() -> None:
    golden = near_one((512, 7))
    assert bias(golden * (1 + 4 * LOW), golden).slope_t == 0.0


@pytest.mark.parametrize("sign", [1, -1])
def test_wild_elements_count_as_four_of_the_usual_errors(sign: int) -> None:
    golden = near_one((64, 64))
    size = np.full((64, 64), 100.0)
    size[::4, ::4] = 1e5
    found = bias(golden * (1 + sign * size * EPSILON["float32"]), golden, "float32")
    assert found.slope == pytest.approx(sign * (15 * 100 + 400) / 16, rel=0.01)


@pytest.mark.parametrize(
    ("shape", "place", "seen"),
    [
        *(((64, 64), (3, 1), True), ((3000, 64), (0, 1), True), ((3000, 64), (-1, 1), True)),
        *(((3000, 64), (1, 1), False), ((64, 4096), (3, 1), False), ((64, 4096), (3, 2), True)),
    ],
)
def test_rows_and_channels_are_looked_at_from_the_first_evenly(
    shape: tuple[int, int], place: tuple[int, int], seen: bool
) -> None:
    golden = np.ones(shape)
    actual = golden.copy()
    actual[place] = 2.0
    assert (bias(actual, golden, "float32").slope > 0) == seen


def test_a_negated_tensor_has_no_slope() -> None:
    golden = normal((64, 64))
    found = bias(-golden, golden)
    assert (found.slope, found.slope_t) == (0.0, 0.0)


@given(st.integers(0, 10**6), st.floats(-2, 2))
def test_swapping_the_sides_turns_the_sign(seed: int, size: float) -> None:
    golden = normal((16, 16), seed)
    there = bias(golden * (1 + size * LOW), golden)
    back = bias(golden, golden * (1 + size * LOW))
    assert there.slope == pytest.approx(-back.slope, abs=0.02)


def test_one_constant_rounded_otherwise_is_fine_in_float32_only() -> None:
    golden = normal((64, 64))
    changed = golden * (1 + 0.45 * EPSILON["float32"])
    assert not bias(changed, golden, "float32").systematic
    assert bias(golden * (1 + 0.45 * LOW), golden).systematic
    assert bias(golden * (1 + 1.5 * EPSILON["float32"]), golden, "float32").systematic


def test_a_wrong_normalisation_epsilon_is_found() -> None:
    x = rounded(normal((2, 24, 64)))

    def norm(epsilon: float) -> Any:
        variance = x.var(-1, keepdims=True)
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(variance + epsilon)

    found = bias(norm(1e-2), norm(1e-3))
    assert found.systematic
    assert found.slope < -0.3


def test_nothing_is_said_where_nothing_can_be() -> None:
    zero = np.zeros((8, 8), np.float32)
    assert measure(zero, zero, default("float32")).bias is None
    assert sample_bias(np.arange(9), np.arange(9) + 1, 1.0, 0.0) is None


@pytest.mark.parametrize(
    ("rows", "name", "threshold"),
    [(8, "bfloat16", 0.2), (8, "float32", 0.6), (7, "bfloat16", 1.0), (7, "float32", 1.0)],
)
def test_equal_tensors_have_no_bias_and_the_threshold_of_their_kind(
    rows: int, name: str, threshold: float
) -> None:
    same = normal((rows, 8))
    assert bias(same, same, name) == Bias(0.0, 0.0, 0.0, 0.0, threshold)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_elements_that_are_not_finite_on_one_side_are_left_out(value: float) -> None:
    golden = normal((64, 64))
    odd = golden.copy()
    odd[3, 5] = value
    assert bias(golden, odd) == bias(odd, golden) == Bias(0.0, 0.0, 0.0, 0.0)
    found = bias(odd * (1 - 0.5 * LOW), golden)
    assert found.systematic
    assert found.slope == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1, 1), (2, 1), (7, 1)])
def test_tiny_tensors_are_never_systematic(shape: tuple[int, ...]) -> None:
    golden = np.abs(normal(shape)) + 1
    assert not bias(golden * (1 + 0.9 * LOW), golden).systematic
