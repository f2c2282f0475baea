"""The test of bias: rounding is never called systematic, a changed constant is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.bias import Bias
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.tolerance import EPSILON, default

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


def test_another_function_is_systematic_where_no_line_fits_it() -> None:
    x = rounded(normal((8, 32, 64)))
    gelu = 0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))
    found = bias(x / (1 + np.exp(-1.702 * x)), gelu)
    assert found.systematic
    assert abs(found.slope) < 0.2
    assert 1.0 < found.curve < 2.0
    assert "outputs of one size are off by" in found.sentence("bfloat16")
    assert not bias(rounded(gelu), gelu).systematic


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
    same = normal((8, 8))
    assert bias(same, same) == Bias(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1, 1), (2, 1), (7, 1)])
def test_tiny_tensors_are_never_systematic(shape: tuple[int, ...]) -> None:
    golden = np.abs(normal(shape)) + 1
    assert not bias(golden * (1 + 0.9 * LOW), golden).systematic
