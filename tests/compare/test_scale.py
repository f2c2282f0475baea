"""The scale: the rms, unless a few channels would hide the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.scale import SAMPLE, robust_scale, root_mean_square, sample_rows
from pytest_keras_golden.tolerance import default

from .conftest import FLOATS, cast, normal


@given(st.integers(0, 1000), st.sampled_from([(40, 16), (4, 8, 32), (3, 5), (1, 64), (300,)]))
def test_ordinary_tensors_have_their_rms(seed: int, shape: tuple[int, ...]) -> None:
    values = normal(shape, seed)
    assert robust_scale(values).rms == pytest.approx(float(np.sqrt(np.mean(values**2))), rel=1e-6)
    assert robust_scale(values).channels is None


def test_sampling_a_large_tensor_comes_close_to_its_rms() -> None:
    values = normal((1 << 12, 1 << 9))
    assert robust_scale(values).rms == pytest.approx(float(np.sqrt(np.mean(values**2))), rel=0.01)


@pytest.mark.parametrize("size", [30.0, 1000.0, 1e6])
def test_an_outlier_channel_does_not_set_the_scale(size: float) -> None:
    values = normal((128, 512))
    values[:, 7] *= size
    found = robust_scale(values)
    assert found.rms < 1.1
    assert found.channels is not None
    assert found.channels[7] == pytest.approx(size, rel=0.3)
    assert (np.delete(found.channels, 7) == found.rms).all()


@pytest.mark.parametrize("rows", [1, 4, 64])
def test_losing_the_rest_beside_an_outlier_channel_is_drift(rows: int) -> None:
    values = normal((rows, 512))
    values[:, 7] *= 1000
    golden = cast(values, FLOATS["bfloat16"])
    lost = golden.copy()
    lost[:, np.arange(512) != 7] = 0
    found = measure(lost, golden, default("bfloat16"))
    assert found.mismatches > 0.85 * rows * 511


def test_rounding_inside_an_outlier_channel_is_no_drift() -> None:
    values = normal((256, 64))
    values[:, 7] *= 1000
    golden = cast(values, FLOATS["bfloat16"])
    values[:, 7] += normal((256,), 1) * 1000 * 2**-8
    found = measure(cast(values, FLOATS["bfloat16"]), golden, default("bfloat16"))
    assert (found.mismatches, found.max_ulp > 5) == (0, True)


def test_mask_values_do_not_set_the_scale() -> None:
    values = normal((4, 8, 64, 64))
    values[..., np.triu_indices(64, 40)[0], np.triu_indices(64, 40)[1]] = -1e9
    assert robust_scale(values).rms < 2.0


def test_nonfinite_values_and_zeros_have_no_scale() -> None:
    assert robust_scale(np.zeros((8, 8))).rms == 0.0
    assert robust_scale(np.zeros((0, 8))).rms == 0.0
    values = normal((30, 30))
    expected = robust_scale(values).rms
    values[4, 5] = np.inf
    values[7, 1] = np.nan
    assert robust_scale(values).rms == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("shape", [(1 << 20,), (2, 1 << 19)])
def test_so_long_a_row_is_sampled_in_pieces_from_end_to_end(shape: tuple[int, ...]) -> None:
    golden = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    rows = sample_rows(golden)
    assert rows.shape == (1, SAMPLE)
    assert (rows.min(), rows.max()) == (0, golden.size - 1)
    assert robust_scale(golden).rms == pytest.approx(root_mean_square(golden), rel=0.01)
    assert np.count_nonzero(np.diff(rows) != 1) == SAMPLE // 4096 - 1


def test_a_sample_of_zeros_is_not_taken_for_the_tensor() -> None:
    values = np.zeros((1 << 14, 64), np.float32)
    values[5000:5002] = 3.0
    assert robust_scale(values).rms > 0.0


@given(st.integers(0, 1000), st.sampled_from([1e-310, 1e-160, 1.0, 1e160, 1e300]))
def test_root_mean_square_of_any_size(seed: int, size: float) -> None:
    values = normal((50,), seed)
    expected = float(np.sqrt(np.mean(values**2))) * size
    assert root_mean_square(values * size) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1e-200, 1e200])
@pytest.mark.parametrize("order", [1, -1])
def test_root_mean_square_of_extreme_values_in_many_blocks(size: float, order: int) -> None:
    values = np.resize([1.0, 2.0], 1 << 15)
    blocks = np.concatenate([values, 3 * values, [np.nan, np.inf], 7 * values])[::order]
    expected = math.sqrt(2.5 * (1 + 9 + 49) / 3)
    assert root_mean_square(size * blocks) == pytest.approx(size * expected)


def test_root_mean_square_leaves_out_what_is_not_finite() -> None:
    assert root_mean_square(np.array([3.0, np.nan, np.inf, -3.0])) == 3.0
    assert root_mean_square(np.array([np.nan])) == 0.0
    assert root_mean_square(np.zeros((0,), np.float32)) == 0.0
