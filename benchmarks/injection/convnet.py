"""Convolutions, normalisation, pooling and recurrent layers of Keras, and a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras.src.backend import nn

from pytest_keras_golden.capture.state.weights import fill_weights

from . import numerics as n
from .change import Change, Subject, harmful, harmless, lowered, replaced

CLASSES = 10
IMAGES = np.random.default_rng(11).normal(0.3, 1.0, (4, 16, 16, 3)).astype("float32")


class ConvNet(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        recurrent = {**policy, "recurrent_initializer": "glorot_uniform"}
        self.stem = layers.Conv2D(8, 3, strides=2, padding="same", **policy)
        self.batch_norm = layers.BatchNormalization(**policy)
        self.leaky = layers.LeakyReLU(0.2, **policy)
        self.depthwise = layers.DepthwiseConv2D(3, padding="same", **policy)
        self.group_norm = layers.GroupNormalization(4, **policy)
        self.swish = layers.Activation("hard_silu", **policy)
        self.max_pool = layers.MaxPooling2D(3, 2, padding="same", **policy)
        self.upsampling = layers.UpSampling2D(2, interpolation="bilinear", **policy)
        self.pointwise = layers.Conv2D(16, 1, activation="relu6", **policy)
        self.average_pool = layers.AveragePooling2D(3, 2, padding="same", **policy)
        # The fused GRU of some backends has no cell to change.
        gru = layers.GRU(8, return_sequences=True, use_cudnn=False, **recurrent)
        self.gru = layers.Bidirectional(gru, **policy)
        self.lstm = layers.LSTM(12, recurrent_activation="hard_sigmoid", **recurrent)
        self.classifier = layers.Dense(CLASSES, **policy)

    def call(self, images: Any) -> Any:
        x = self.leaky(self.batch_norm(self.stem(images)))
        x = x + self.depthwise(x)
        x = self.max_pool(self.swish(self.group_norm(x)))
        x = self.average_pool(self.pointwise(self.upsampling(x)))
        x = self.gru(ops.reshape(x, (x.shape[0], -1, x.shape[-1])))
        return self.classifier(self.lstm(x))


def build(policy: str) -> tuple[Any, tuple[Any, ...]]:
    model = ConvNet(dtype=policy)
    model(IMAGES)
    fill_weights(model, 3)
    return model, (IMAGES,)


def draw(model: Any, seed: int) -> tuple[Any, ...]:
    fill_weights(model, seed)
    images = np.random.default_rng(seed).normal(0.3, 1.0, IMAGES.shape)
    return (images.astype("float32"),)


def batch_norm(
    epsilon: float | None = None, own_statistics: bool = False, folded: bool = False
) -> n.Method:
    def call(self: Any, x: Any, training: Any = None, mask: Any = None) -> Any:
        wide = ops.cast(x, "float32")
        weights = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        gamma, beta, mean, variance = (ops.cast(weight, "float32") for weight in weights)
        if own_statistics:
            mean, variance = ops.moments(wide, (0, 1, 2))
        factor = gamma / ops.sqrt(variance + (self.epsilon if epsilon is None else epsilon))
        y = wide * factor + (beta - mean * factor) if folded else (wide - mean) * factor + beta
        return ops.cast(y, self.compute_dtype)

    return call


def group_norm(epsilon: float | None = None, ddof: int = 0, interleaved: bool = False) -> n.Method:
    """interleaved: channels are dealt to the groups in turn."""

    def call(self: Any, x: Any) -> Any:
        groups, shape = self.groups, x.shape
        split = (*shape[:-1], groups, shape[-1] // groups)
        if interleaved:
            split = (*split[:-2], split[-1], split[-2])
        wide = ops.reshape(ops.cast(x, "float32"), split)
        axes = (1, 2, 3) if interleaved else (1, 2, 4)
        mean = ops.mean(wide, axes, keepdims=True)
        count = shape[1] * shape[2] * shape[3] // groups
        total = ops.sum(ops.square(wide - mean), axes, keepdims=True)
        small = self.epsilon if epsilon is None else epsilon
        wide = (wide - mean) / ops.sqrt(total / (count - ddof) + small)
        gamma, beta = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        return ops.cast(ops.reshape(wide, shape) * gamma + beta, self.compute_dtype)

    return call


Conv = Callable[..., Any]
plain_conv, plain_depthwise = nn.conv, nn.depthwise_conv
plain_gru = layers.GRU.inner_loop
plain_average, plain_maximum = nn.average_pool, nn.max_pool


def ungrouped(conv: Conv) -> Conv:
    """`conv`, but for what runs a depthwise convolution as one of many groups, as torch does."""

    def chosen(inputs: Any, kernel: Any, *rest: Any, **options: Any) -> Any:
        whole = kernel.shape[2] == inputs.shape[-1]
        return (conv if whole else plain_conv)(inputs, kernel, *rest, **options)

    return chosen


def padded_before(inputs: Any, kernel: Any, strides: Any, padding: str, *rest: Any) -> Any:
    """`same` with the odd row and column in front, as Caffe and PyTorch code has it."""
    if padding == "same" and kernel.shape[0] > 1:
        inputs = ops.pad(inputs, ((0, 0), (1, 0), (1, 0), (0, 0)))
        padding = "valid"
    return plain_conv(inputs, kernel, strides, padding, *rest)


def lowered_conv(dtype: str) -> Conv:
    def conv(inputs: Any, kernel: Any, *rest: Any, **options: Any) -> Any:
        return plain_conv(n.lowered(inputs, dtype), n.lowered(kernel, dtype), *rest, **options)

    return conv


def quantised_depthwise(inputs: Any, kernel: Any, *rest: Any, **options: Any) -> Any:
    flat = ops.reshape(kernel, (-1, kernel.shape[2] * kernel.shape[3]))
    kernel = ops.reshape(n.quantised(4)(flat), kernel.shape)
    return plain_depthwise(inputs, kernel, *rest, **options)


def flipped_depthwise(inputs: Any, kernel: Any, *rest: Any, **options: Any) -> Any:
    """Convolution in the mathematician's sense in place of a correlation."""
    return plain_depthwise(inputs, ops.flip(kernel, (0, 1)), *rest, **options)


def conv_by_taps(inputs: Any, kernel: Any, strides: Any, padding: str, *rest: Any) -> Any:
    """A sum over the kernel's taps, one product each."""
    if kernel.shape[0] == 1:
        return plain_conv(inputs, kernel, strides, padding, *rest)
    inputs = ops.pad(inputs, ((0, 0), (0, 1), (0, 1), (0, 0)))
    size, step, out = kernel.shape[0], 2, inputs.shape[1] // 2
    total = 0.0
    for row in range(size):
        for column in range(size):
            part = inputs[:, row : row + step * out : step, column : column + step * out : step]
            total = total + ops.matmul(part, kernel[row, column])
    return total


def wide_conv(inputs: Any, kernel: Any, *rest: Any, **options: Any) -> Any:
    wide = plain_conv(ops.cast(inputs, "float32"), ops.cast(kernel, "float32"), *rest, **options)
    return ops.cast(wide, inputs.dtype)


def average_with_padding(inputs: Any, size: Any, strides: Any, padding: str, *rest: Any) -> Any:
    """Padding counts as zeros."""
    inputs = ops.pad(inputs, ((0, 0), (0, 1), (0, 1), (0, 0)))
    return plain_average(inputs, size, strides, "valid", *rest)


def average_by_sums(inputs: Any, size: Any, strides: Any, padding: str, *rest: Any) -> Any:
    """Sums of windows divided by how many values lie in each, in float32."""
    wide = ops.cast(inputs, "float32")
    ones = ops.ones_like(wide)
    sums, counts = (
        plain_average(
            ops.pad(part, ((0, 0), (0, 1), (0, 1), (0, 0))), size, strides, "valid", *rest
        )
        for part in (wide, ones)
    )
    return ops.cast(sums / counts, inputs.dtype)


def maximum_with_zeros(inputs: Any, size: Any, strides: Any, padding: str, *rest: Any) -> Any:
    """Padding takes part as zeros."""
    inputs = ops.pad(inputs, ((0, 0), (0, 1), (0, 1), (0, 0)))
    return plain_maximum(inputs, size, strides, "valid", *rest)


def resized(interpolation: str = "bilinear", corners: bool = False) -> n.Method:
    def call(self: Any, inputs: Any) -> Any:
        height, width = (size * 2 for size in inputs.shape[1:3])
        if not corners:
            return ops.image.resize(inputs, (height, width), interpolation=interpolation)
        rows, columns = (_aligned(size, 2 * size) for size in inputs.shape[1:3])
        wide = ops.cast(inputs, "float32")
        wide = ops.einsum("rh,bhwc->brwc", rows, wide)
        return ops.cast(ops.einsum("sw,brwc->brsc", columns, wide), inputs.dtype)

    return call


def _aligned(old: int, new: int) -> Any:
    """Linear interpolation that keeps the corners, as a matrix (new, old)."""
    at = np.linspace(0, old - 1, new)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old))).astype("float32")


def leaky(slope: float) -> n.Method:
    return lambda self, x: ops.leaky_relu(x, slope)


def hard_sigmoid(x: Any) -> Any:
    """Keras 2's; Keras 3 has x/6 + 0.5."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def hard_silu(x: Any) -> Any:
    return x * hard_sigmoid(x)


def relu_unbounded(x: Any) -> Any:
    return nn.relu(x)


def gru_cell(
    tanh: Callable[[Any], Any] = ops.tanh, swapped: bool = False, before: bool = False
) -> n.Method:
    """`GRUCell.call` with `reset_after`. swapped: update and reset gates. before: reset is applied
    to the state ahead of the product, as the first paper has it."""

    def call(self: Any, x: Any, states: Any, training: Any = None) -> Any:
        h = states[0] if isinstance(states, (list, tuple)) else states
        bias, recurrent_bias = self.bias[0], self.bias[1]
        gates = ops.split(ops.matmul(x, self.kernel) + bias, 3, -1)
        inner = ops.split(ops.matmul(h, self.recurrent_kernel) + recurrent_bias, 3, -1)
        update, reset = (ops.sigmoid(a + b) for a, b in zip(gates[:2], inner[:2], strict=True))
        if swapped:
            update, reset = reset, update
        last = reset * inner[2]
        if before:
            kernel = self.recurrent_kernel[:, 2 * self.units :]
            last = ops.matmul(reset * h, kernel) + recurrent_bias[2 * self.units :]
        h = update * h + (1 - update) * tanh(gates[2] + last)
        return h, [h]

    return call


def without_tf32() -> None:
    """cuDNN's TF32 is another precision, which is said so; here the same one is fused."""
    if keras.backend.backend() == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False


without_tf32()


def fused_gru(self: Any, *args: Any, **options: Any) -> Any:
    """One product for all steps, where the backend has it."""
    with replaced(self, "use_cudnn", "auto"):
        return plain_gru(self, *args, **options)


def lstm_cell(forget: float = 0.0, order: str = "ifco", pieces: int = 1) -> n.Method:
    """`LSTMCell.call`. forget: added to the forget gate. order: of the gates in the kernels."""

    def call(self: Any, x: Any, states: Any, training: Any = None) -> Any:
        h, c = states[0], states[1]
        z = n._product(x, ops.convert_to_tensor(self.kernel), pieces)
        z = z + ops.matmul(h, self.recurrent_kernel) + self.bias
        gate = dict(zip(order, ops.split(z, 4, axis=-1), strict=True))
        opened = self.recurrent_activation(gate["f"] + ops.cast(forget, z.dtype))
        c = opened * c + self.recurrent_activation(gate["i"]) * ops.tanh(gate["c"])
        h = self.recurrent_activation(gate["o"]) * ops.tanh(c)
        return h, [h, c]

    return call


def tanh_rational(x: Any) -> Any:
    """A Padé approximation, as fast-math libraries have it."""
    squared = ops.square(x)
    return ops.clip(x * (27.0 + squared) / (27.0 + 9.0 * squared), -1.0, 1.0)


def doubled_branch(self: Any, images: Any) -> Any:
    x = self.leaky(self.batch_norm(self.stem(images)))
    x = x + self.depthwise(x) * 1.02
    x = self.max_pool(self.swish(self.group_norm(x)))
    x = self.average_pool(self.pointwise(self.upsampling(x)))
    x = self.gru(ops.reshape(x, (x.shape[0], -1, x.shape[-1])))
    return self.classifier(self.lstm(x))


def transposed(self: Any, images: Any) -> Any:
    """The image is read by columns."""
    x = self.leaky(self.batch_norm(self.stem(images)))
    x = x + self.depthwise(x)
    x = self.max_pool(self.swish(self.group_norm(x)))
    x = ops.swapaxes(self.average_pool(self.pointwise(self.upsampling(x))), 1, 2)
    x = self.gru(ops.reshape(x, (x.shape[0], -1, x.shape[-1])))
    return self.classifier(self.lstm(x))


# On TensorFlow `hard_silu` calls `hard_sigmoid`, and that `relu6`.
NESTED = keras.backend.backend() == "tensorflow"

CHANGES: tuple[Change, ...] = (
    harmful("padding in front of a strided convolution", "stem",
            (nn, "conv", ungrouped(padded_before))),
    lowered("convolution of bfloat16 inputs", "stem pointwise",
            (nn, "conv", ungrouped(lowered_conv("bfloat16")))),
    lowered("convolution of float8 inputs", "stem pointwise",
            (nn, "conv", ungrouped(lowered_conv("float8_e4m3fn")))),
    harmful("depthwise weights quantised to int4", "depthwise",
            (nn, "depthwise_conv", quantised_depthwise)),
    harmful("depthwise kernel flipped", "depthwise", (nn, "depthwise_conv", flipped_depthwise)),
    harmful("batch norm epsilon 1e-3 to 1e-5", "batch_norm",
            (layers.BatchNormalization, "call", batch_norm(epsilon=1e-5))),
    harmful("batch norm epsilon 1e-3 to 1e-1", "batch_norm",
            (layers.BatchNormalization, "call", batch_norm(epsilon=1e-1))),
    harmful("batch norm by the batch", "batch_norm",
            (layers.BatchNormalization, "call", batch_norm(own_statistics=True))),
    harmful("group norm epsilon 1e-3 to 1e-5", "group_norm",
            (layers.GroupNormalization, "call", group_norm(epsilon=1e-5))),
    harmful("group norm variance with ddof 1", "group_norm",
            (layers.GroupNormalization, "call", group_norm(ddof=1))),
    harmful("group norm of interleaved channels", "group_norm",
            (layers.GroupNormalization, "call", group_norm(interleaved=True))),
    harmful("leaky slope 0.2 to 0.3", "leaky", (layers.LeakyReLU, "call", leaky(0.3))),
    harmful("leaky slope 0.2 to 0.21", "leaky", (layers.LeakyReLU, "call", leaky(0.21))),
    harmful("hard sigmoid of slope 0.2", "lstm swish" if NESTED else "lstm",
            (nn, "hard_sigmoid", hard_sigmoid)),
    harmful("hard silu of slope 0.2", "swish", (nn, "hard_silu", hard_silu)),
    harmful("relu6 without its bound", "pointwise swish lstm" if NESTED else "pointwise",
            (nn, "relu6", relu_unbounded)),
    harmful("average over padding too", "average_pool", (nn, "average_pool", average_with_padding)),
    harmful("maximum with zeros of padding", "max_pool", (nn, "max_pool", maximum_with_zeros)),
    harmful("bilinear with aligned corners", "upsampling",
            (layers.UpSampling2D, "call", resized(corners=True))),
    harmful("nearest in place of bilinear", "upsampling",
            (layers.UpSampling2D, "call", resized("nearest"))),
    harmful("GRU reset before the product", "gru/*",
            (layers.GRUCell, "call", gru_cell(before=True))),
    harmful("GRU gates swapped", "gru/*", (layers.GRUCell, "call", gru_cell(swapped=True))),
    harmful("GRU with a rational tanh", "gru/*",
            (layers.GRUCell, "call", gru_cell(tanh=tanh_rational))),
    harmful("LSTM forget bias of 1", "lstm", (layers.LSTMCell, "call", lstm_cell(forget=1.0))),
    harmful("LSTM gates in another order", "lstm",
            (layers.LSTMCell, "call", lstm_cell(order="icfo"))),
    harmful("residual branch scaled by 1.02", "<model>", (ConvNet, "call", doubled_branch)),
    harmful("image read by columns", "<model>", (ConvNet, "call", transposed)),
    harmful("classifier bias dropped", "classifier",
            (layers.Dense, "call", n.dense(bias=False))),
    harmful("batch norm epsilon times 2", "batch_norm", (layers.BatchNormalization, "call",
            n.with_values(layers.BatchNormalization.call, epsilon=lambda e: 2 * e))),
    harmful("group norm epsilon times 2", "group_norm", (layers.GroupNormalization, "call",
            n.with_values(layers.GroupNormalization.call, epsilon=lambda e: 2 * e))),
    harmful("leaky slope 0.2 to 0.2005", "leaky", (layers.LeakyReLU, "call", leaky(0.2005))),
    harmless("nothing"),
    harmless("convolution tap by tap", (nn, "conv", ungrouped(conv_by_taps))),
    harmless("convolution in float32", (nn, "conv", ungrouped(wide_conv))),
    harmless("batch norm written out", (layers.BatchNormalization, "call", batch_norm())),
    harmless("batch norm folded", (layers.BatchNormalization, "call", batch_norm(folded=True))),
    harmless("group norm written out", (layers.GroupNormalization, "call", group_norm())),
    # On torch, `same` repeats the edge instead of leaving it out: that is another mean.
    *(
        harmless("average by sums and counts", (nn, "average_pool", average_by_sums))
        for _ in range(keras.backend.backend() != "torch")
    ),
    harmless("leaky relu written out", (layers.LeakyReLU, "call", leaky(0.2))),
    harmless("GRU cell written out", (layers.GRUCell, "call", gru_cell())),
    harmless("GRU fused", (layers.GRU, "inner_loop", fused_gru)),
    harmless("LSTM cell written out", (layers.LSTMCell, "call", lstm_cell())),
    harmless("LSTM split-K", (layers.LSTMCell, "call", lstm_cell(pieces=2))),
    harmless("classifier split-K", (layers.Dense, "call", n.dense(pieces=2))),
)  # fmt: skip

SUBJECT = Subject("convnet", build, CHANGES, draw)
