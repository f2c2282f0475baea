"""First and last rows: the same from every way of running, bounded, and judged like any other."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isolating import Recording, recording, unchanged
from zoo import TOKENS, Decoder

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.tap.limit import Limit, nbytes
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.errors import CaptureError


@given(st.integers(1, 4), st.lists(st.integers(0, 9), min_size=0, max_size=4))
def test_the_first_and_the_last_rows_are_kept(rows: int, shape: list[int]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype="float32").reshape(shape)
    kept = Limit(rows=rows).kept("x", array)
    if len(shape) < 2 or shape[-2] <= 2 * rows:
        assert np.array_equal(kept, array)
        return
    assert kept.shape == (*shape[:-2], 2 * rows, shape[-1])
    assert np.array_equal(kept[..., :rows, :], array[..., :rows, :])
    assert np.array_equal(kept[..., rows:, :], array[..., -rows:, :])


def test_every_tensor_of_a_model_is_sampled_alike() -> None:
    model = Decoder()
    with recording(model) as whole:
        model(TOKENS)
    with capture_calls(model, Request(("all",), limit=Limit(rows=2))) as sampled:
        model(TOKENS)
    assert list(sampled.tensors) == list(whole.tensors)
    for name, array in whole.tensors.items():
        assert np.array_equal(sampled.tensors[name], Limit(rows=2).kept(name, array)), name
    assert sampled.tensors["head"].shape == (2, 4, 23)
    assert sampled.tensors["blocks/0/attention:probabilities"].shape == (2, 4, 4, 6)
    assert unchanged(whole, model, lambda: model(TOKENS))


def test_compiled_runs_are_sampled_too() -> None:
    model = Decoder()
    model(TOKENS)
    with capture_block(model, Request(("all",), limit=Limit(rows=1))) as block:
        outputs = model.predict(TOKENS, verbose=0)
    assert block.observer == (None if keras.backend.backend() == "numpy" else "identical")
    assert block.tensors["head"].shape == (2, 2, 23)
    assert np.array_equal(block.tensors["head"], outputs[:, [0, -1]])


def test_references_are_of_the_same_rows() -> None:
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = Decoder()
        request = Request(("logits",), limit=Limit(rows=1))
        with capture_block(model, request, Recording()) as block:
            model(TOKENS)
    finally:
        keras.config.set_dtype_policy("float32")
    (record,) = block.records
    assert record.reference is not None
    assert record.reference.shape == record.value.shape == (2, 2, 23)


def test_sampling_brings_a_tensor_under_the_limit() -> None:
    model = Decoder()
    size = 2 * 6 * 23 * 4
    with pytest.raises(CaptureError, match=r"rows=8.*golden_rows = 8"):
        captured(model, Limit(size - 1))
    assert captured(model, Limit(size)).nbytes == size
    assert captured(model, Limit(size - 1, rows=2)).nbytes == size * 4 // 6
    with pytest.raises(CaptureError, match=r"shape \(2, 2, 23\) and \(2, 2, 23\)"):
        captured(model, Limit(size // 2, rows=2))


def test_what_a_rebuilt_tensor_takes_is_bounded_as_well() -> None:
    layer = keras.layers.MultiHeadAttention(2, 1)
    x = np.ones((1, 64, 2), "float32")
    with (
        pytest.raises(CaptureError, match="probabilities has 32768 bytes"),
        capture_calls(layer, Request(("*:probabilities",), limit=Limit(4096))),
    ):
        layer(x, x)


def test_what_isolation_needs_is_dropped_while_it_grows() -> None:
    """Not held until the end: of a large model it is many times what was asked for."""
    model = Decoder()
    with capture_block(model, Request(("logits",), isolation_bytes=1000)) as block:
        model(TOKENS)
        assert block.watchers is not None
        assert not block.watchers.findings.pools
    assert block.isolation == "unavailable: size"
    assert not block.pool
    assert "blocks/0/attention" in {call.name for call in block.calls}


def captured(model: keras.Model, limit: Limit) -> np.ndarray:
    with capture_calls(model, Request(("logits",), limit=limit, isolate=False)) as block:
        model(TOKENS)
    return block.tensors["head"]


@pytest.mark.parametrize(("dtype", "size"), [("bool", 1), ("bfloat16", 2), ("float32", 4)])
def test_bytes_of_any_dtype(dtype: str, size: int) -> None:
    assert nbytes(keras.ops.ones((3, 5), dtype)) == 15 * size
