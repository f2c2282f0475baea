"""Models that the `fit` scenarios train, and their data: policy → model, and arrays."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from history.layers import Array

from training.scenarios.scenario import floats

SAMPLES = 12


def perceptron(policy: str, *between: Any, units: int = 1, head: Any = None, **options: Any) -> Any:
    """between: policy → layer; options: of the hidden layer."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="tanh", dtype=policy, name="hidden", **options),
            *(layer(policy) for layer in between),
            layers.Dense(units, dtype=policy, name="head", activation=head),
        ]
    )


def classifier(policy: str) -> Any:
    return perceptron(policy, units=5, head="softmax")


def binary(policy: str) -> Any:
    return perceptron(policy, units=1, head="sigmoid")


def convolutional(policy: str) -> Any:
    """Without a bias before the normalisation, which takes it out again."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, padding="same", use_bias=False, dtype=policy, name="conv"),
            layers.BatchNormalization(dtype=policy, name="norm"),
            layers.ReLU(dtype=policy, name="relu"),
            layers.MaxPooling2D(dtype=policy, name="pool"),
            layers.GlobalAveragePooling2D(dtype=policy, name="mean"),
            layers.Dense(1, dtype=policy, name="head"),
        ]
    )


def transformer(policy: str) -> Any:
    """Without biases of attention: that of the keys has no gradient but rounding, and Adam makes a
    step of that."""
    layers = keras.layers
    entry = keras.Input((6,), dtype="int32")
    hidden = layers.Embedding(20, 16, mask_zero=True, name="tokens", dtype=policy)(entry)
    normed = layers.LayerNormalization(name="norm", dtype=policy)(hidden)
    attended = layers.MultiHeadAttention(2, 8, use_bias=False, name="attention", dtype=policy)(
        normed, normed
    )
    hidden = layers.Add(name="add", dtype=policy)([hidden, attended])
    hidden = layers.Dense(16, activation="gelu", name="feed", dtype=policy)(hidden)
    return keras.Model(entry, layers.Dense(20, name="head", dtype=policy)(hidden))


def masked_recurrent(policy: str) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Masking(dtype=policy, name="masking"),
            layers.LSTM(7, dtype=policy, return_sequences=True, name="lstm"),
            layers.Dense(1, dtype=policy, name="head"),
        ]
    )


def stateful(policy: str) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(batch_shape=(4, 5, 3)),
            layers.LSTM(7, dtype=policy, stateful=True, name="lstm"),
            layers.Dense(1, dtype=policy, name="head"),
        ]
    )


def two_outputs(policy: str) -> Any:
    layers = keras.layers
    entry = keras.Input((6,))
    hidden = layers.Dense(16, activation="tanh", dtype=policy, name="hidden")(entry)
    value = layers.Dense(1, dtype=policy, name="value")(hidden)
    kind = layers.Dense(5, activation="softmax", dtype=policy, name="kind")(hidden)
    return keras.Model(entry, {"value": value, "kind": kind})


def shared(policy: str) -> Any:
    """One layer called twice, and one that is not trained."""
    layers = keras.layers
    entry = keras.Input((6,))
    twice = layers.Dense(6, activation="tanh", dtype=policy, name="twice")
    frozen = layers.Dense(4, dtype=policy, name="frozen", trainable=False)
    return keras.Model(
        entry, layers.Dense(1, dtype=policy, name="head")(frozen(twice(twice(entry))))
    )


# -- data -----------------------------------------------------------------------------------


def real() -> tuple[Array, Array]:
    return floats(SAMPLES, 6, seed=1), floats(SAMPLES, 1, seed=2)


def odd() -> tuple[Array, Array]:
    return floats(10, 6, seed=1), floats(10, 1, seed=2)


def single() -> tuple[Array, Array]:
    return floats(9, 6, seed=1), floats(9, 1, seed=2)


def classes() -> tuple[Array, Array]:
    return floats(SAMPLES, 6, seed=1), (np.arange(SAMPLES) * 3 % 5).astype("int32")


def one_hot() -> tuple[Array, Array]:
    x, y = classes()
    return x, np.eye(5, dtype=x.dtype)[y]


def bits() -> tuple[Array, Array]:
    x, y = real()
    return x, (y > 0).astype(x.dtype)


def images() -> tuple[Array, Array]:
    return floats(SAMPLES, 8, 8, 3, seed=1), floats(SAMPLES, 1, seed=2)


def tokens() -> tuple[Array, Array]:
    drawn = np.arange(SAMPLES * 6).reshape(SAMPLES, 6) * 7 % 19 + 1
    drawn[::3, 4:] = 0
    return drawn.astype("int32"), (drawn * 3 % 20).astype("int32")


def sequences() -> tuple[Array, Array]:
    x = floats(SAMPLES, 5, 3, seed=1)
    x[::2, 3:] = 0.0
    return x, floats(SAMPLES, 5, 1, seed=2)


def last_of_sequences() -> tuple[Array, Array]:
    return floats(SAMPLES, 5, 3, seed=1), floats(SAMPLES, 1, seed=2)


def both() -> tuple[Array, dict[str, Array]]:
    x, y = real()
    return x, {"value": y, "kind": classes()[1]}
