"""What one layer sends back, by itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.replay.pullback import cotangents, gradients, states
from pytest_keras_golden.capture.watch.calls import Call

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "numpy", reason="Keras does not differentiate on numpy"
)


def sent_back(layer: keras.layers.Layer, *args: object) -> dict[str, np.ndarray]:
    layer(*args)
    call = Call("layer", "layer", layer, "layer", "__call__", 0, 0)
    return dict(gradients(call, layer, args, {}))


def x(*shape: int) -> object:
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    return keras.ops.convert_to_tensor(values)


def test_it_is_the_vector_jacobian_product() -> None:
    layer, given = keras.layers.Dense(3), x(5, 4)
    cotangent = to_numpy(cotangents([layer(given)])[0])
    found = sent_back(layer, given)
    kernel = to_numpy(layer.kernel)
    np.testing.assert_allclose(found["input 0"], cotangent @ kernel.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["kernel"], to_numpy(given).T @ cotangent, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["bias"], cotangent.sum(0), rtol=1e-5, atol=1e-6)


def test_a_cotangent_is_drawn_by_shape_and_held_by_every_precision() -> None:
    one, other = (to_numpy(cotangents([x(7, 5)])[0]) for _ in range(2))
    assert (one == other).all()
    low = to_numpy(cotangents([keras.ops.cast(x(7, 5), "bfloat16")])[0])
    assert (low.astype(np.float32) == one).all()
    assert 0.0 < np.abs(one).min() < np.abs(one).max() < 1.0
    assert len(np.unique(one)) > 8


def test_state_and_generators_are_what_they_were() -> None:
    drop, norm = keras.layers.Dropout(0.5, seed=1), keras.layers.BatchNormalization()
    layer = keras.Sequential([keras.Input((4,)), norm, drop])
    before = [to_numpy(v).tobytes() for v in (*norm.variables, drop.seed_generator.state)]
    for part in (norm, drop):
        call = Call("layer", "layer", part, "layer", "__call__", 0, 0)
        made = gradients(call, lambda *a, part=part: part(*a, training=True), (x(6, 4),), {})
        assert "input 0" in dict(made)
    after = [to_numpy(v).tobytes() for v in (*norm.variables, drop.seed_generator.state)]
    assert before == after
    assert layer.built


def test_what_a_layer_keeps_of_a_batch() -> None:
    norm, given = keras.layers.BatchNormalization(momentum=0.75), x(6, 4)
    norm(given)
    call = Call("layer", "layer", norm, "layer", "__call__", 0, 0)
    found = dict(states(call, norm, (given,), {"training": True}))
    assert found.keys() == {"state moving_mean", "state moving_variance"}
    np.testing.assert_allclose(
        found["state moving_mean"], 0.25 * to_numpy(given).mean(0), rtol=1e-5, atol=1e-7
    )
    assert not to_numpy(norm.moving_mean).any()
    assert states(call, norm, ("nonsense",), {}) == ()


def test_a_number_that_is_used_as_an_index_has_a_gradient_of_zeros() -> None:
    """On every backend: jax alone gives zeros by itself."""
    found = sent_back(keras.layers.Embedding(7, 3), x(2, 4) * 0.0 + 5.0)
    assert found["input 0"].tolist() == np.zeros((2, 4)).tolist()
    assert found["embeddings"].any(axis=1).tolist() == [at == 5 for at in range(7)]


def test_what_cannot_be_differentiated_has_none() -> None:
    class Reads(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return keras.ops.convert_to_tensor(to_numpy(inputs) * 2)

    tokens = keras.ops.convert_to_tensor(np.array([[1, 2]], "int32"))
    assert sent_back(keras.layers.Embedding(5, 2), tokens).keys() == {"embeddings"}
    found = sent_back(Reads(), x(2, 3))
    assert not any(array.any() for array in found.values())
