"""Samples of twins: the same elements on every release, spread over the array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.capture.replay.twins import SAMPLE, sampled

SHAPES = st.lists(st.integers(1, 40), max_size=4).map(tuple)


@given(SHAPES)
def test_a_sample_has_distinct_elements_and_all_where_they_are_few(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    sample = sampled(array)
    assert len(sample) == len(set(sample.tolist())) == min(array.size, SAMPLE)
    assert sampled(array + 1).tolist() == (sample + 1).tolist()


@given(st.integers(2, 32), st.integers(2, 32))
def test_every_row_and_channel_has_its_share(rows: int, channels: int) -> None:
    array = np.arange(rows * channels * 64).reshape(rows, channels, 64)
    sample = sampled(array)
    places = sample // (channels * 64), sample // 64 % channels, sample % 64
    for at, size in zip(places, array.shape, strict=True):
        assert len(set(at.tolist())) == size


def test_a_sample_is_no_view() -> None:
    array = np.zeros(4)
    sampled(array)[0] = 1
    assert array[0] == 0
