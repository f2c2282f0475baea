"""Saves the models that benchmarks/exports.py exports: one family of layers each, random weights.

KERAS_BACKEND=numpy python models.py FOLDER [NAME…]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

layers = keras.layers


def dense() -> Any:
    x = keras.Input((12,), name="x")
    hidden = layers.Dense(32, activation="relu", name="hidden")(x)
    return keras.Model(x, layers.Dense(4, activation="softmax", name="head")(hidden))


def gelu() -> Any:
    x = keras.Input((12,), name="x")
    hidden = layers.Dense(32, activation="gelu", name="hidden")(x)
    return keras.Model(x, layers.Dense(4, name="head")(hidden))


def convnet() -> Any:
    x = y = keras.Input((17, 17, 3), name="image")
    for size in (8, 16):
        y = layers.Conv2D(size, 3, strides=2, padding="same", name=f"conv{size}")(y)
        y = layers.LeakyReLU(name=f"leaky{size}")(y)
    y = layers.MaxPooling2D(2, padding="same", name="pool")(y)
    return keras.Model(x, layers.Dense(4, name="head")(layers.Flatten()(y)))


def normalised() -> Any:
    x = keras.Input((16, 16, 3), name="image")
    y = layers.Conv2D(8, 3, use_bias=False, name="conv")(x)
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(y))
    y = layers.AveragePooling2D(2, name="pool")(y)
    y = layers.GlobalAveragePooling2D(name="mean")(y)
    model = keras.Model(x, layers.Dense(4, name="head")(y))
    statistics = np.random.default_rng(1)
    norm = model.get_layer("norm")
    norm.moving_mean.assign(statistics.standard_normal(8))
    norm.moving_variance.assign(statistics.uniform(0.1, 2.0, 8))
    return model


def depthwise() -> Any:
    x = keras.Input((16, 16, 4), name="image")
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.SeparableConv2D(8, 3, activation="relu", name="separable")(y)
    y = layers.Conv2DTranspose(4, 2, strides=2, name="up")(y)
    return keras.Model(x, layers.GlobalMaxPooling2D(name="largest")(y))


def lstm() -> Any:
    x = keras.Input((8, 5), name="series")
    y = layers.LSTM(16, return_sequences=True, name="first")(x)
    return keras.Model(x, layers.Dense(3, name="head")(layers.LSTM(8, name="second")(y)))


def gru() -> Any:
    x = keras.Input((8, 5), name="series")
    y = layers.Bidirectional(layers.GRU(8), name="both")(x)
    return keras.Model(x, layers.Dense(3, name="head")(y))


def masked() -> Any:
    x = keras.Input((8,), dtype="int32", name="ids")
    y = layers.Embedding(50, 16, mask_zero=True, name="table")(x)
    return keras.Model(x, layers.Dense(3, name="head")(layers.LSTM(8, name="lstm")(y)))


def transformer() -> Any:
    x = keras.Input((8,), dtype="int32", name="ids")
    y = layers.Embedding(50, 16, name="table")(x)
    attended = layers.MultiHeadAttention(2, 8, name="attention")(y, y)
    y = layers.LayerNormalization(name="norm1")(layers.Add(name="sum1")([y, attended]))
    inner = layers.Dense(16, name="down")(layers.Dense(64, activation="relu", name="up")(y))
    y = layers.LayerNormalization(name="norm2")(layers.Add(name="sum2")([y, inner]))
    return keras.Model(x, layers.Dense(50, name="logits")(y))


def several() -> Any:
    words = keras.Input((6,), dtype="int32", name="words")
    numbers = keras.Input((4,), name="numbers")
    y = layers.Embedding(30, 8, name="table")(words)
    y = layers.Concatenate(name="joined")([layers.GlobalAveragePooling1D(name="mean")(y), numbers])
    outputs = [layers.Dense(3, name="first")(y), layers.Dense(2, name="second")(y)]
    return keras.Model({"words": words, "numbers": numbers}, outputs)


def preprocessing() -> Any:
    image = keras.Input((12, 12, 3), name="image")
    mean, variance = np.array([0.4, 0.5, 0.6]), np.array([0.04, 0.05, 0.06])
    y = layers.Rescaling(1 / 255, name="scale")(image)
    y = layers.Normalization(mean=mean, variance=variance, name="whiten")(y)
    return keras.Model(image, layers.Conv2D(4, 3, name="conv")(y))


def nested() -> Any:
    inner = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="one"), layers.PReLU(name="prelu")], name="inner"
    )
    x = keras.Input((8,), name="x")
    return keras.Model(x, layers.Dense(3, activation="tanh", name="head")(inner(x)))


def mobilenet() -> Any:
    return keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), weights=None, classes=10, classifier_activation=None
    )


MODELS: dict[str, Callable[[], Any]] = {
    build.__name__: build
    for build in (
        *(dense, gelu, convnet, normalised, depthwise, lstm, gru, masked, transformer),
        *(several, preprocessing, nested, mobilenet),
    )
}


def main() -> None:
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        keras.utils.set_random_seed(7)
        MODELS[name]().save(folder / f"{name}.keras")


if __name__ == "__main__":
    main()
