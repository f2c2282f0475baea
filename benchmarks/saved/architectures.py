"""Small models of many kinds, built the same way under every release of Keras.

Runs in processes of its own, where one release's overlay is first on the path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from own_layers import Gate, Subclassed

Builder = Callable[[], Any]
MODELS: dict[str, Builder] = {}


def model(build: Builder) -> Builder:
    MODELS[build.__name__] = build
    return build


def _images(size: int = 16, channels: int = 3) -> Any:
    return keras.Input((size, size, channels), name="image")


def _head(x: Any) -> Any:
    return layers.Dense(3, "softmax", name="head")(layers.GlobalAveragePooling2D()(x))


def _through(inputs: Any, *chain: Any) -> Any:
    x = inputs
    for layer in chain:
        x = layer(x)
    return keras.Model(inputs, x)


@model
def dense() -> Any:
    numbers = keras.Input((6,), name="numbers")
    return _through(numbers, layers.Dense(8, "relu"), layers.Dense(8, "gelu"), layers.Dense(2))


@model
def dense_trained() -> Any:
    made = dense()
    made.compile(keras.optimizers.Adam(1e-3, epsilon=1e-6), "mse")
    return _with_slots(made)


@model
def dense_momentum() -> Any:
    made = dense()
    made.compile(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "mse")
    return _with_slots(made)


@model
def dense_schedule() -> Any:
    made = dense()
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9)
    made.compile(keras.optimizers.AdamW(rate, weight_decay=0.02), "mse")
    return _with_slots(made)


def _with_slots(made: Any) -> Any:
    """An optimizer that has seen training, without training: releases need another jax for that."""
    made.optimizer.build(made.trainable_variables)
    for at, slot in enumerate(made.optimizer.variables[2:]):
        noise = np.random.RandomState(at).uniform(0.1, 1.0, tuple(slot.shape))
        slot.assign(noise.astype("float32"))
    made.optimizer.iterations.assign(7)
    return made


@model
def sequential() -> Any:
    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(7, "elu"), layers.Dropout(0.2), layers.Dense(1)]
    )


@model
def two_inputs() -> Any:
    numbers, ids = keras.Input((4,), name="numbers"), keras.Input((5,), dtype="int32", name="ids")
    table = layers.GlobalAveragePooling1D()(layers.Embedding(11, 6)(ids))
    joined = layers.Concatenate()([layers.Dense(6, "relu")(numbers), table])
    return keras.Model([numbers, ids], layers.Dense(2)(joined))


@model
def named_inputs() -> Any:
    inputs = {name: keras.Input((3,), name=name) for name in ("age", "income", "city")}
    joined = layers.Concatenate()([layers.Dense(2)(value) for value in inputs.values()])
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(joined))


@model
def two_outputs() -> Any:
    numbers = keras.Input((4,), name="numbers")
    x = layers.Dense(6, "swish")(numbers)
    return keras.Model(numbers, {"a": layers.Dense(1)(x), "b": layers.Dense(3, "softmax")(x)})


@model
def residual() -> Any:
    numbers = keras.Input((6,), name="numbers")
    x = layers.Add()([numbers, layers.Dense(6, "relu")(numbers)])
    x = layers.Multiply()([x, layers.Dense(6, "sigmoid")(x)])
    return keras.Model(numbers, layers.Subtract()([x, layers.Dense(6)(x)]))


@model
def operators() -> Any:
    numbers = keras.Input((6,), name="numbers")
    x = layers.Dense(6)(numbers)
    return keras.Model(numbers, layers.Dense(2)(keras.ops.tanh(x) * 2.0 + numbers))


@model
def shared() -> Any:
    one, other = keras.Input((4,), name="one"), keras.Input((4,), name="other")
    tower = layers.Dense(5, "relu", name="tower")
    return keras.Model([one, other], layers.Dot(-1)([tower(one), tower(other)]))


@model
def nested() -> Any:
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(4)], name="inner"
    )
    numbers = keras.Input((4,), name="numbers")
    wrapped = keras.Model(numbers, layers.Dense(4)(inner(numbers)), name="wrapped")
    outside = keras.Input((4,), name="outside")
    return keras.Model(outside, layers.Dense(2)(wrapped(outside)))


@model
def batch_normalization() -> Any:
    return _through(
        keras.Input((6,), name="numbers"),
        *(layers.Dense(8), layers.BatchNormalization(momentum=0.9, epsilon=2e-3)),
        *(layers.Activation("relu"), layers.Dense(2)),
    )


@model
def normalizations() -> Any:
    return _through(
        _images(8, 8),
        *(layers.GroupNormalization(4), layers.LayerNormalization(epsilon=1e-5)),
        *(layers.UnitNormalization(), layers.GlobalAveragePooling2D(), layers.Dense(2)),
    )


@model
def convolutions() -> Any:
    return _convolutional(layers.Conv2D(6, 3, padding="same"))


def _convolutional(*chain: Any) -> Any:
    image = _images()
    x = image
    for layer in chain:
        x = layer(x)
    return keras.Model(image, _head(x))


@model
def strided() -> Any:
    return _convolutional(
        layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False),
        *(layers.BatchNormalization(), layers.ReLU(6.0), layers.MaxPooling2D(2)),
    )


@model
def depthwise() -> Any:
    return _convolutional(
        layers.DepthwiseConv2D(3, padding="same"), layers.SeparableConv2D(6, 3, activation="relu")
    )


@model
def transposed() -> Any:
    return _convolutional(
        layers.Conv2D(4, 3, 2, "same"), layers.Conv2DTranspose(6, 3, strides=2, padding="same")
    )


@model
def dilated() -> Any:
    return _convolutional(
        layers.ZeroPadding2D(2), layers.Conv2D(6, 3, dilation_rate=2), layers.LeakyReLU()
    )


@model
def unet() -> Any:
    image = _images()
    down = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    low = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.AveragePooling2D(2)(down))
    up = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(low), down])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(up))


@model
def squeeze_excite() -> Any:
    image = _images()
    x = layers.Conv2D(8, 3, padding="same", activation="swish")(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(8, "sigmoid")(layers.Dense(2, "relu")(gate))
    return keras.Model(image, _head(layers.Multiply()([x, gate])))


@model
def volumes() -> Any:
    return _through(
        keras.Input((6, 6, 6, 1), name="volume"),
        *(layers.Conv3D(3, 3, activation="relu"), layers.GlobalMaxPooling3D(), layers.Dense(2)),
    )


@model
def signal() -> Any:
    return _through(
        keras.Input((24, 2), name="signal"),
        *(layers.Conv1D(6, 5, padding="causal", activation="relu"), layers.MaxPooling1D()),
        *(layers.Conv1D(4, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)),
    )


@model
def rescaled() -> Any:
    return _convolutional(layers.Rescaling(1 / 127.5, offset=-1.0), layers.Conv2D(4, 3))


@model
def normalized() -> Any:
    norm = layers.Normalization()
    norm.adapt(np.random.RandomState(0).normal(40.0, 9.0, (64, 5)).astype("float32"))
    return _through(keras.Input((5,), name="numbers"), norm, layers.Dense(3, "relu"))


@model
def lstm() -> Any:
    return _through(
        keras.Input((9, 3), name="series"),
        *(layers.LSTM(5, return_sequences=True), layers.LSTM(4), layers.Dense(1)),
    )


@model
def gru() -> Any:
    return _through(
        keras.Input((9, 3), name="series"),
        *(layers.GRU(5, return_sequences=True, reset_after=False), layers.GRU(4), layers.Dense(1)),
    )


@model
def bidirectional() -> Any:
    return _through(
        keras.Input((9, 3), name="series"),
        *(layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.SimpleRNN(3)),
    )


@model
def stacked_cells() -> Any:
    cells = [layers.LSTMCell(4), layers.GRUCell(3)]
    return _through(keras.Input((7, 3), name="series"), layers.RNN(cells), layers.Dense(1))


@model
def convolutional_lstm() -> Any:
    return _through(
        keras.Input((3, 8, 8, 1), name="clip"),
        *(layers.ConvLSTM2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(1)),
    )


@model
def time_distributed() -> Any:
    return _through(
        keras.Input((5, 4), name="series"),
        *(layers.TimeDistributed(layers.Dense(3, "relu")), layers.Flatten(), layers.Dense(1)),
    )


@model
def masked() -> Any:
    return _through(
        keras.Input((7,), dtype="int32", name="ids"),
        *(layers.Embedding(13, 5, mask_zero=True), layers.LSTM(4), layers.Dense(2)),
    )


@model
def transformer() -> Any:
    ids = keras.Input((8,), dtype="int32", name="ids")
    x = layers.Embedding(17, 8)(ids)
    for at in range(2):
        attended = layers.MultiHeadAttention(2, 4, name=f"attention_{at}")(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, attended]))
        fed = layers.Dense(8)(layers.Dense(16, "gelu")(x))
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, fed]))
    return keras.Model(ids, layers.Dense(17, name="logits")(x))


@model
def causal() -> Any:
    series = keras.Input((8, 6), name="series")
    x = layers.MultiHeadAttention(3, 2)(series, series, use_causal_mask=True)
    return keras.Model(series, layers.Dense(2)(x))


@model
def grouped_query() -> Any:
    series = keras.Input((8, 8), name="series")
    kind = getattr(layers, "GroupedQueryAttention", None) or layers.GroupQueryAttention
    return keras.Model(series, layers.Dense(2)(kind(4, 4, 2)(series, series)))


@model
def luong() -> Any:
    series = keras.Input((6, 5), name="series")
    x = layers.Attention(use_scale=True)([series, series])
    x = layers.AdditiveAttention()([x, series])
    return keras.Model(series, layers.Dense(2)(x))


@model
def einsum() -> Any:
    return _through(
        keras.Input((6, 8), name="series"),
        *(layers.EinsumDense("abc,cde->abde", (6, 2, 4), bias_axes="de"), layers.Flatten()),
        layers.Dense(2),
    )


@model
def preluish() -> Any:
    return _through(
        keras.Input((6,), name="numbers"),
        *(layers.Dense(5), layers.PReLU(), layers.Dense(4), layers.ELU(0.7), layers.Dense(2)),
    )


@model
def spectral() -> Any:
    return _through(
        keras.Input((6,), name="numbers"),
        *(layers.SpectralNormalization(layers.Dense(5)), layers.Dense(2)),
    )


@model
def custom() -> Any:
    return _through(keras.Input((6,), name="numbers"), Gate(5, 0.1), layers.Dense(2), Gate(3))


@model
def subclassed() -> Any:
    made = Subclassed()
    made(np.zeros((1, 5), "float32"))
    return made


@model
def hashed() -> Any:
    return _through(
        keras.Input((1,), dtype="int32", name="id"),
        *(layers.Discretization(bin_boundaries=[0.0, 3.0, 9.0]), layers.Embedding(5, 3)),
        *(layers.Flatten(), layers.Dense(1)),
    )


@model
def words() -> Any:
    """Saved and judged everywhere; it runs on TensorFlow alone."""
    lookup = layers.StringLookup()
    lookup.adapt(np.array([["red"], ["green"], ["blue"], ["red"]], dtype=object))
    return _through(keras.Input((1,), dtype="string", name="word"), lookup, layers.Embedding(4, 3))


@model
def onehot() -> Any:
    return _through(
        keras.Input((1,), dtype="int32", name="id"),
        *(layers.CategoryEncoding(6, output_mode="one_hot"), layers.Dense(2)),
    )


@model
def bfloat16() -> Any:
    numbers = keras.Input((6,), name="numbers")
    x = layers.Dense(8, "relu", dtype="bfloat16")(numbers)
    return keras.Model(numbers, layers.Dense(2, dtype="mixed_bfloat16")(x))


@model
def int8() -> Any:
    made = dense()
    made.quantize("int8")
    return made
