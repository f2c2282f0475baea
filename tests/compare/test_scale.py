"""The scale: the rms, unless a few channels would hide the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.scale import (
    MAX_CHANNELS,
    SAMPLE,
    ChunkScale,
    Scale,
    robust_scale,
    root_mean_square,
    sample_rows,
)
from pytest_keras_golden.tolerance import default

from .conftest import FLOATS, cast, normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")


@given(
    st.integers(0, 1000),
    st.sampled_from([(40, 16), (4, 8, 32), (3, 5), (1, 64), (300,)]),
    st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_ordinary_tensors_have_their_rms(seed: int, shape: tuple[int, ...], size: float) -> None:
    values = size * normal(shape, seed)
    assert robust_scale(values).rms == pytest.approx(float(np.sqrt(np.mean(values**2))), rel=1e-6)
    assert robust_scale(values).channels is None


def test_sampling_a_large_tensor_comes_close_to_its_rms() -> None:
    values = normal((1 << 12, 1 << 9))
    assert robust_scale(values).rms == pytest.approx(float(np.sqrt(np.mean(values**2))), rel=0.01)


def test_rows_of_a_large_tensor_are_sampled_evenly_from_the_first_to_the_last() -> None:
    rows = sample_rows(np.arange(1 << 20, dtype=np.float64).reshape(4, -1, 64))
    assert rows.shape == (SAMPLE // 64, 64)
    assert (rows[0, 0], rows[-1, -1]) == (0, (1 << 20) - 1)
    assert set(np.diff(rows[:, 0]) // 64) == {8, 9}


def test_the_scale_of_a_chunk_is_that_of_its_elements_channels() -> None:
    scale = ChunkScale(Scale(1.0, np.array([1.0, 2.0, 3.0])), 4, np.float32)
    found = scale.chunk(2, 4)
    assert isinstance(found, np.ndarray)
    assert (found.tolist(), found.dtype) == ([3, 1, 2, 3], np.float32)
    assert [scale.at(index) for index in (2, 3)] == [3, 1]


@pytest.mark.parametrize(
    ("shape", "largest", "rms"),
    [
        ((64, 1), 64.0, math.sqrt((63 + 64**2) / 64)),
        ((64, 1), 65.0, 1.0),
        ((7, 64), 64.0, math.sqrt((447 + 64**2) / 448)),
        ((7, 64), 65.0, 1.0),
        ((64, 2), 1024.0, math.sqrt((127 + 1024**2) / 128)),
        ((64, 2), 1025.0, 1.0),
    ],
)
def test_an_extreme_element_is_left_out_sooner_where_no_channel_tells(
    shape: tuple[int, int], largest: float, rms: float
) -> None:
    values = np.ones(shape)
    values[3, 0] = largest
    found = robust_scale(values)
    assert (found.rms, found.channels) == (pytest.approx(rms), None)


@pytest.mark.parametrize(
    ("rows", "size", "outlier"), [(8, 8.0, False), (8, 9.0, True), (7, 9.0, False)]
)
def test_a_channel_beyond_eight_times_the_median_stands_out_from_eight_rows_on(
    rows: int, size: float, outlier: bool
) -> None:
    values = np.ones((1, rows, 5))
    values[..., 3] = size
    channels = robust_scale(values).channels
    assert (channels is not None) == outlier
    assert channels is None or np.flatnonzero(channels == size).tolist() == [3]


def test_channels_of_zeros_make_no_outliers_of_the_others() -> None:
    values = np.ones((64, 16))
    values[:, :9] = 0.0
    found = robust_scale(values)
    assert (found.rms, found.channels) == (pytest.approx(math.sqrt(7 / 16)), None)


@pytest.mark.parametrize(("extreme", "outlier"), [(31, False), (32, True), (63, True)])
def test_a_channel_that_is_extreme_in_half_its_rows_is_judged_by_itself(
    extreme: int, outlier: bool
) -> None:
    values = np.ones((64, 16))
    values[:extreme, 3] = 1e6
    found = robust_scale(values)
    assert found.rms == pytest.approx(1.0)
    assert (found.channels is not None) == outlier


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
    values = normal((30, 30)) / 50
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


def test_the_longest_row_that_is_a_channel_axis() -> None:
    values = np.ones((8, MAX_CHANNELS), np.float32)
    values[:, 3] = 9.0
    assert sample_rows(values).shape == values.shape
    channels = robust_scale(values).channels
    assert channels is not None
    assert np.flatnonzero(channels == 9.0).tolist() == [3]


def test_a_sample_of_zeros_is_not_taken_for_the_tensor() -> None:
    values = np.zeros((1 << 14, 64), np.float32)
    values[5000:5002] = 3.0
    assert robust_scale(values).rms > 0.0


@given(st.integers(0, 1000), st.sampled_from([1e-310, 1e-160, 1.0, 1e160, 1e300]))
def test_root_mean_square_of_any_size(seed: int, size: float) -> None:
    values = normal((50,), seed)
    expected = float(np.sqrt(np.mean(values**2))) * size
    assert root_mean_square(values * size) == pytest.approx(expected, rel=1e-6, abs=0.0)


@pytest.mark.parametrize("size", [1e-200, 1e200])
@pytest.mark.parametrize("order", [1, -1])
def test_root_mean_square_of_extreme_values_in_many_chunks(size: float, order: int) -> None:
    values = np.resize([1.0, 2.0], 1 << 15)
    chunks = np.concatenate([values, 3 * values, [np.nan, np.inf], 7 * values])[::order]
    expected = math.sqrt(2.5 * (1 + 9 + 49) / 3)
    assert root_mean_square(size * chunks) == pytest.approx(size * expected, rel=1e-6, abs=0.0)


def test_root_mean_square_leaves_out_what_is_not_finite() -> None:
    assert root_mean_square(np.array([3.0, np.nan, np.inf, -3.0])) == 3.0
    assert root_mean_square(np.array([np.nan])) == 0.0
    assert root_mean_square(np.zeros((0,), np.float32)) == 0.0


@pytest.mark.parametrize("shape", [(100,), (64, 32), (4, 5, 6)])
def test_elements_that_are_not_finite_are_no_zeros(shape: tuple[int, ...]) -> None:
    """Half of the logits masked by -inf is usual, and no reason for half the tolerance."""
    golden = normal(shape)
    masked = golden.copy()
    masked[..., ::2] = -np.inf
    kept = robust_scale(masked).rms
    assert kept == pytest.approx(robust_scale(golden[..., 1::2].copy()).rms, rel=1e-9)


def test_an_extreme_in_a_channel_that_is_mostly_masked_gives_it_no_scale_of_its_own() -> None:
    golden = normal((256, 16))
    golden[64:, 3] = -np.inf
    golden[0, 3] = 1e6
    assert robust_scale(golden).channels is None
