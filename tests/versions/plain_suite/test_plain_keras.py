"""An ordinary Keras test-suite: plain asserts, weights from initializers, nothing of goldens."""

from __future__ import annotations

import keras
import numpy as np
import pytest


def tokens(batch: int = 2, length: int = 12, vocabulary: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, vocabulary, (batch, length))


def features(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@keras.saving.register_keras_serializable("plain")
class Block(keras.layers.Layer):
    """A pre-norm transformer block of stock layers."""

    def __init__(self, heads: int, width: int, **options: object) -> None:
        super().__init__(**options)
        self.heads, self.width = heads, width
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.attention = keras.layers.MultiHeadAttention(heads, width // heads)
        self.norm_mlp = keras.layers.LayerNormalization(epsilon=1e-5)
        self.grow = keras.layers.Dense(2 * width, activation="gelu")
        self.shrink = keras.layers.Dense(width)

    def call(self, x):  # type: ignore[no-untyped-def]
        normed = self.norm(x)
        x = x + self.attention(normed, normed, use_causal_mask=True)
        return x + self.shrink(self.grow(self.norm_mlp(x)))


def decoder(dtype: str = "float32") -> keras.Model:
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(40, 32, dtype=dtype, name="embedding")(inputs)
    x = Block(2, 32, dtype=dtype, name="block_0")(x)
    x = Block(2, 32, dtype=dtype, name="block_1")(x)
    x = keras.layers.LayerNormalization(dtype=dtype, name="norm")(x)
    return keras.Model(inputs, keras.layers.Dense(40, dtype=dtype, name="logits")(x))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_decoder_yields_a_logit_per_token(dtype: str) -> None:
    logits = decoder(dtype)(tokens())
    assert logits.shape == (2, 12, 40)
    assert np.isfinite(keras.ops.convert_to_numpy(logits).astype("float32")).all()


def test_a_decoder_is_causal() -> None:
    model, first = decoder(), tokens()
    second = first.copy()
    second[:, -1] = 0
    a = keras.ops.convert_to_numpy(model(first))
    b = keras.ops.convert_to_numpy(model(second))
    np.testing.assert_allclose(a[:, :-1], b[:, :-1], atol=1e-5)


def test_a_classifier_is_a_distribution() -> None:
    model = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(4, activation="softmax", name="classes"),
        ]
    )
    total = keras.ops.convert_to_numpy(model(features(8, 16))).sum(-1)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_a_convolution_keeps_the_size() -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Activation("relu", name="relu"),
        ]
    )
    assert model(features(2, 8, 8, 3)).shape == (2, 8, 8, 4)


def test_layer_normalization_in_bfloat16_has_unit_variance() -> None:
    layer = keras.layers.LayerNormalization(dtype="bfloat16", name="norm")
    normed = keras.ops.convert_to_numpy(layer(features(4, 64) + 30)).astype("float32")
    np.testing.assert_allclose(normed.std(-1), 1, atol=0.2)


def test_a_lstm_returns_its_last_state() -> None:
    layer = keras.layers.LSTM(8, return_sequences=True, return_state=True)
    sequence, last, _ = layer(features(2, 5, 3))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(sequence)[:, -1], keras.ops.convert_to_numpy(last)
    )


def test_a_config_round_trip_needs_no_numbers() -> None:
    layer = keras.layers.Dense(3, activation="relu")
    assert keras.layers.Dense.from_config(layer.get_config()).units == 3
