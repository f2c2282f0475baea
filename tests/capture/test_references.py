"""References: the same model in higher precision, per tensor, on every kind of model."""

from __future__ import annotations

import os
from collections.abc import Iterator

import keras
import numpy as np
import pytest
import zoo
from isolating import ALL, Recording

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.block import CaptureBlock, capture_block
from pytest_keras_golden.capture.state.weights import fill_weights

STYLES = ("functional", "sequential", "subclassed")


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def recorded(model: keras.Model, inputs: np.ndarray) -> CaptureBlock:
    with capture_block(model, ALL, Recording()) as block:
        model(inputs)
    return block


def built(style: str) -> keras.Model:
    model = zoo.STYLES[style]()
    model(zoo.inputs(style))
    fill_weights(model, 0)
    return model


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("style", STYLES)
def test_low_precision_is_told_from_float32(policy: str, style: str) -> None:
    model = built(style)
    block = recorded(model, zoo.inputs(style))
    missing = [record.name for record in block.records if record.reference is None]
    assert missing == []
    for record in block.records:
        assert record.reference is not None
        assert record.reference.dtype == np.float32
        error = np.abs(record.value.astype("float64") - record.reference).max()
        # Near, and no copy: rounded to the low precision on the way.
        assert error <= 0.1 * max(1.0, float(np.abs(record.reference).max())), record.name
    assert any((r.value.astype("float32") != r.reference).any() for r in block.records)


@pytest.mark.parametrize("policy", ["bfloat16"], indirect=True)
def test_an_input_of_low_precision_is_not_rounded_in_the_reference(policy: str) -> None:
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="ones")])
    x = np.full((1, 2), 1 + 2.0**-10, "float32")
    (record,) = (r for r in recorded(model, x).records if r.name == "dense#0")
    assert record.reference is not None
    assert float(record.value[0, 0]) == 2.0
    assert float(record.reference[0, 0]) == 2 + 2.0**-9


@pytest.mark.parametrize("style", STYLES)
def test_float32_is_told_from_float64_where_the_backend_has_it(style: str) -> None:
    model = built(style)
    before = model(zoo.inputs(style))
    references = [record.reference for record in recorded(model, zoo.inputs(style)).records]
    if os.environ["KERAS_BACKEND"] == "jax":
        assert references == [None] * len(references)
    else:
        assert {str(array.dtype) for array in references if array is not None} == {"float64"}
    assert np.array_equal(to_numpy(before), to_numpy(model(zoo.inputs(style))))


@pytest.mark.parametrize("policy", ["bfloat16"], indirect=True)
@pytest.mark.parametrize("style", STYLES)
def test_the_model_is_left_as_it_was(policy: str, style: str) -> None:
    model = built(style)
    first = to_numpy(keras.ops.cast(model(zoo.inputs(style)), "float32"))
    recorded(model, zoo.inputs(style))
    assert model.compute_dtype == "bfloat16"
    again = model(zoo.inputs(style))
    assert keras.backend.standardize_dtype(again.dtype) == "bfloat16"
    assert np.array_equal(first, to_numpy(keras.ops.cast(again, "float32")))
