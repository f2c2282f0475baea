"""Models of Keras 2, built and saved by tf_keras: run under it as `python zoo.py FOLDER`.

Weights are random all over, statistics and scales too: initial ones hide what a layer does with
them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

L = keras.layers
Inputs = Any
Build = Callable[[], Any]

MODELS: dict[str, Build] = {}
"""By name, in the order of the table."""


def model(build: Build) -> Build:
    MODELS[build.__name__] = build
    return build


def chain(shape: tuple[int | None, ...], *layers: Any, dtype: str = "float32") -> Any:
    """A graph of layers one behind another."""
    given = keras.Input(shape, dtype=dtype, name="given")
    x = given
    for layer in layers:
        x = layer(x)
    return keras.Model(given, x)


IMAGE, SERIES = (12, 12, 3), (7, 5)


@model
def dense() -> Any:
    return keras.Sequential(
        [keras.Input((6,)), L.Dense(8, activation="relu"), L.Dense(4, activation="softmax")]
    )


@model
def activations() -> Any:
    names = ("elu", "selu", "gelu", "swish", "softplus", "tanh", "hard_sigmoid", "mish")
    return chain((6,), *(L.Dense(8, activation=name, name=f"under_{name}") for name in names))


@model
def convolution_valid() -> Any:
    return chain(IMAGE, L.Conv2D(4, 3, activation="relu"), L.Conv2D(3, (2, 3)))


@model
def convolution_same_strided() -> Any:
    return chain(IMAGE, L.Conv2D(4, 3, strides=2, padding="same"), L.Conv2D(3, 2, padding="same"))


@model
def convolution_dilated() -> Any:
    return chain(IMAGE, L.Conv2D(4, 3, dilation_rate=2, padding="same"), L.Conv2D(4, 1, groups=2))


@model
def convolution_causal() -> Any:
    return chain(SERIES, L.Conv1D(4, 3, padding="causal", dilation_rate=2), L.Conv1D(4, 2))


@model
def convolution_transposed() -> Any:
    return chain(
        (5, 5, 3),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"),
        L.Conv2DTranspose(2, 3, strides=2, padding="valid"),
    )


@model
def depthwise() -> Any:
    return chain(IMAGE, L.DepthwiseConv2D(3, padding="same", depth_multiplier=2))


@model
def separable() -> Any:
    return chain(IMAGE, L.SeparableConv2D(4, 3, padding="same"))


@model
def pooling() -> Any:
    return chain(
        IMAGE,
        L.MaxPooling2D(3, strides=2, padding="same"),
        L.AveragePooling2D(3, strides=2, padding="same"),
        L.GlobalAveragePooling2D(),
    )


@model
def pooling_maximum() -> Any:
    return chain(IMAGE, L.ZeroPadding2D(((1, 2), (0, 1))), L.Cropping2D(1), L.GlobalMaxPooling2D())


@model
def upsampling_nearest() -> Any:
    return chain((5, 5, 3), L.UpSampling2D(2), L.Conv2D(2, 3))


@model
def upsampling_bilinear() -> Any:
    return chain((5, 5, 3), L.UpSampling2D((2, 3), interpolation="bilinear"), L.Conv2D(2, 3))


@model
def batch_norm() -> Any:
    return chain(IMAGE, L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU())


@model
def batch_norm_of_rows() -> Any:
    return chain((6,), L.Dense(8), L.BatchNormalization(epsilon=1e-5, momentum=0.9, scale=False))


@model
def batch_norm_small_epsilon() -> Any:
    """Some variances of its statistics are small, as those of dying channels are."""
    return chain(IMAGE, L.Conv2D(4, 3), L.BatchNormalization(epsilon=1e-7, name="small_epsilon"))


@model
def layer_norm() -> Any:
    return chain(SERIES, L.Dense(8), L.LayerNormalization(), L.LayerNormalization(epsilon=1e-6))


@model
def other_norms() -> Any:
    return chain(IMAGE, L.Conv2D(8, 3), L.GroupNormalization(4), L.UnitNormalization())


@model
def simple_rnn() -> Any:
    return chain(SERIES, L.SimpleRNN(6, return_sequences=True), L.SimpleRNN(4, activation="relu"))


@model
def lstm() -> Any:
    return chain(SERIES, L.LSTM(6, return_sequences=True), L.LSTM(4, go_backwards=True))


@model
def gru_reset_after() -> Any:
    return chain(SERIES, L.GRU(6, return_sequences=True), L.GRU(4, reset_after=True))


@model
def gru_reset_before() -> Any:
    return chain(SERIES, L.GRU(6, reset_after=False, recurrent_activation="hard_sigmoid"))


@model
def bidirectional() -> Any:
    return chain(
        SERIES,
        L.Bidirectional(L.LSTM(4, return_sequences=True)),
        L.Bidirectional(L.GRU(3), merge_mode="sum"),
    )


@model
def convolutional_lstm() -> Any:
    return chain((3, 6, 6, 2), L.ConvLSTM2D(3, 3, padding="same"))


@model
def stacked_cells() -> Any:
    return chain(SERIES, L.RNN([L.LSTMCell(4), L.GRUCell(3)]))


@model
def embedded_with_mask() -> Any:
    embedding = L.Embedding(20, 6, mask_zero=True)
    return chain((9,), embedding, L.LSTM(5), L.Dense(2), dtype="int32")


@model
def masked() -> Any:
    return chain(SERIES, L.Masking(), L.GRU(4, return_sequences=True), L.GlobalAveragePooling1D())


@model
def attention() -> Any:
    given = keras.Input(SERIES, name="given")
    x = L.Dense(8)(given)
    x = L.Add()([x, L.MultiHeadAttention(2, 4, dropout=0.1, name="attend")(x, x)])
    return keras.Model(given, L.Dense(3)(L.LayerNormalization(epsilon=1e-5)(x)))


@model
def dot_attention() -> Any:
    query, value = keras.Input((4, 6), name="query"), keras.Input((7, 6), name="value")
    both = [L.Attention(use_scale=True)([query, value]), L.AdditiveAttention()([query, value])]
    return keras.Model([query, value], L.Concatenate()(both))


@model
def rectifiers() -> Any:
    """Layers of activation, one behind another."""
    return chain(
        (9,),
        L.Dense(9),
        L.LeakyReLU(alpha=0.2),
        L.ELU(alpha=0.5),
        L.PReLU(),
        L.ReLU(max_value=4.0, negative_slope=0.1, threshold=0.2),
        L.Softmax(),
    )


@model
def rectifier_with_threshold() -> Any:
    return chain((9,), L.Dense(9), L.ThresholdedReLU(theta=0.3))


@model
def time_distributed() -> Any:
    return chain((3, 8, 8, 2), L.TimeDistributed(L.Conv2D(3, 3)), L.TimeDistributed(L.Flatten()))


@model
def nested() -> Any:
    inner = chain((6,), L.Dense(5, activation="tanh"), L.BatchNormalization())
    outer = keras.Sequential([keras.Input((4,)), L.Dense(6), inner, L.Dense(2)])
    return chain((4,), outer)


@model
def several_inputs() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    x = L.Concatenate()([L.Dense(5)(left), L.Dense(3)(right)])
    x = L.Multiply()([x, L.Dense(8, activation="sigmoid")(x)])
    return keras.Model([left, right], [L.Dense(2, name="one")(x), L.Dot(1, name="two")([x, x])])


@model
def normalized() -> Any:
    layer = L.Normalization(axis=-1, mean=[0.5, -1.0, 3.0, 0.0], variance=[1.0, 4.0, 0.25, 2.0])
    return chain((4,), layer, L.Dense(3))


@model
def normalized_as_adapted() -> Any:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(3).normal(2.0, 3.0, (64, 4)).astype("float32"))
    return chain((4,), layer, L.Dense(3))


@model
def rescaled() -> Any:
    return chain(IMAGE, L.Rescaling(1 / 127.5, -1.0), L.Resizing(6, 6), L.Conv2D(3, 3))


@model
def arithmetic() -> Any:
    given = keras.Input((6,), name="given")
    return keras.Model(given, L.Dense(3)(given * 2.0 + 1.0))


def trained(optimizer: Any, loss: str = "binary_crossentropy") -> Any:
    built = chain((6,), L.Dense(3, activation="sigmoid"))
    built.compile(optimizer, loss)
    random = np.random.default_rng(5)
    built.fit(random.normal(size=(16, 6)), random.uniform(size=(16, 3)), verbose=0)
    return built


@model
def trained_by_adam() -> Any:
    return trained(keras.optimizers.Adam(0.01, epsilon=1e-5))


@model
def trained_by_sgd() -> Any:
    return trained(keras.optimizers.SGD(0.02, momentum=0.9))


@model
def trained_with_decay() -> Any:
    return trained(keras.optimizers.legacy.Adam(0.01, decay=1e-3))


@model
def trained_by_mse() -> Any:
    return trained(keras.optimizers.Adam(), "mse")


@model
def mobilenet_v2() -> Any:
    return keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5)


@model
def resnet_block() -> Any:
    """A stem and a bottleneck of ResNet50, by the names that its file has."""
    whole = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), include_top=False)
    return keras.Model(whole.input, whole.get_layer("conv2_block1_out").output)


FIXED = ("count", "adapt_mean", "adapt_variance", "seed")
"""Weights that hold what was measured, or drawn from."""


def randomize(built: Any) -> None:
    """Every weight anew: variances and scales positive, some variances near zero."""
    random = np.random.default_rng(7)
    for weight in built.weights:
        name = weight.name.partition(":")[0].rpartition("/")[2]
        if name in FIXED or not weight.shape:
            continue
        value = random.normal(0.0, 1.0 / np.sqrt(max(1, np.prod(weight.shape[:-1]))), weight.shape)
        if "variance" in name:
            value = 10.0 ** random.uniform(-5.0, 0.0, weight.shape)
        elif name in ("gamma", "scale"):
            value = random.uniform(0.5, 1.5, weight.shape)
        weight.assign(value.astype(weight.dtype.as_numpy_dtype))


def main(folder: Path) -> None:
    for name, build in MODELS.items():
        keras.backend.clear_session()
        built = build()
        randomize(built)
        for suffix in ("h5", "keras"):
            built.save(folder / f"{name}.{suffix}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
