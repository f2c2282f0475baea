"""Calls of the layers in `keras.layers` on fixed inputs, by name, as far as a release has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Unit-scale numbers that bfloat16 holds exactly, so that both precisions see the same."""
    words = np.random.Philox(key=seed + 1).random_raw(int(np.prod(shape)) * 2)
    unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    first, second = unit.reshape(2, -1)
    drawn = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    wide = (scale * drawn).astype(np.float32).view(np.uint32)
    return (wide & np.uint32(0xFFFF0000)).view(np.float32).reshape(shape)


@dataclass(frozen=True)
class Case:
    """build: dtype policy → layer. The call is `layer(*inputs, **options)`; a layer without a
    policy (integer outputs, preprocessing) is run once."""

    build: Callable[[str], Any]
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


SEQUENCE = normal(4, 16, 32)
CONTEXT = normal(4, 12, 32, seed=1)
IMAGE = normal(2, 12, 12, 6)
LINE = normal(4, 24, 6)
VOLUME = normal(2, 6, 6, 6, 4)
POSITIVE = np.abs(IMAGE)
PADDING = np.arange(16) < np.array([16, 9, 12, 5])[:, None]
TOKENS = (np.arange(64).reshape(4, 16) * 7) % 50
FRAMES = normal(2, 5, 8, 8, 3)
WAVE = normal(2, 2048)
RECURRENT = {"recurrent_initializer": "glorot_uniform"}


def layer(name: str, *arguments: Any, **options: Any) -> Callable[[str], Any]:
    return lambda policy: getattr(keras.layers, name)(*arguments, dtype=policy, **options)


def wrapped(outer: str, inner: Callable[[str], Any], **options: Any) -> Callable[[str], Any]:
    return lambda policy: getattr(keras.layers, outer)(inner(policy), dtype=policy, **options)


def activation(name: str) -> Case:
    return Case(layer("Activation", name), (SEQUENCE * 2,))


def mha(**options: Any) -> Callable[[str], Any]:
    return layer("MultiHeadAttention", 4, 8, **options)


def gqa() -> Callable[[str], Any]:
    return layer("GroupQueryAttention", 8, 4, 2)


CAUSAL = {"use_causal_mask": True}
MASKED = {"attention_mask": PADDING[:, None, :] & np.ones((1, 16, 1), bool)}

CASES: dict[str, Case] = {
    "Dense": Case(layer("Dense", 24), (SEQUENCE,)),
    "Dense, gelu": Case(layer("Dense", 24, activation="gelu"), (SEQUENCE,)),
    "EinsumDense": Case(layer("EinsumDense", "btd,dhk->bthk", (None, 4, 8), bias_axes="hk"),
                        (SEQUENCE,)),
    "Embedding": Case(layer("Embedding", 50, 32), (TOKENS,)),
    "Conv1D": Case(layer("Conv1D", 8, 3, padding="same"), (LINE,)),
    "Conv1D, causal": Case(layer("Conv1D", 8, 3, padding="causal", dilation_rate=2), (LINE,)),
    "Conv2D": Case(layer("Conv2D", 8, 3, strides=2, padding="same"), (IMAGE,)),
    "Conv2D, groups": Case(layer("Conv2D", 8, 3, groups=2), (IMAGE,)),
    "Conv3D": Case(layer("Conv3D", 4, 3), (VOLUME,)),
    "Conv1DTranspose": Case(layer("Conv1DTranspose", 8, 3, strides=2, padding="same"), (LINE,)),
    "Conv2DTranspose": Case(layer("Conv2DTranspose", 8, 3, strides=2, padding="same"), (IMAGE,)),
    "Conv2DTranspose, valid": Case(layer("Conv2DTranspose", 8, 4, strides=3), (IMAGE,)),
    "Conv2DTranspose, output_padding": Case(
        layer("Conv2DTranspose", 8, 3, strides=2, padding="same", output_padding=1), (IMAGE,)),
    "DepthwiseConv1D": Case(layer("DepthwiseConv1D", 3, padding="same"), (LINE,)),
    "DepthwiseConv2D": Case(layer("DepthwiseConv2D", 3, padding="same"), (IMAGE,)),
    "SeparableConv1D": Case(layer("SeparableConv1D", 8, 3), (LINE,)),
    "SeparableConv2D": Case(layer("SeparableConv2D", 8, 3), (IMAGE,)),
    "BatchNormalization": Case(layer("BatchNormalization"), (IMAGE,)),
    "BatchNormalization, training": Case(layer("BatchNormalization"), (IMAGE,),
                                         {"training": True}),
    "LayerNormalization": Case(layer("LayerNormalization"), (SEQUENCE,)),
    "LayerNormalization, rms_scaling": Case(layer("LayerNormalization", rms_scaling=True),
                                            (SEQUENCE,)),
    "LayerNormalization, two axes": Case(layer("LayerNormalization", axis=(-2, -1)), (SEQUENCE,)),
    "GroupNormalization": Case(layer("GroupNormalization", 3), (IMAGE,)),
    "RMSNormalization": Case(layer("RMSNormalization"), (SEQUENCE,)),
    "UnitNormalization": Case(layer("UnitNormalization"), (SEQUENCE,)),
    "SpectralNormalization": Case(
        wrapped("SpectralNormalization", layer("Dense", 16)), (SEQUENCE,), {"training": True}),
    "MultiHeadAttention": Case(mha(), (SEQUENCE, SEQUENCE)),
    "MultiHeadAttention, causal": Case(mha(), (SEQUENCE, SEQUENCE), CAUSAL),
    "MultiHeadAttention, padding mask": Case(mha(), (SEQUENCE, SEQUENCE), MASKED),
    "MultiHeadAttention, cross": Case(mha(), (SEQUENCE, CONTEXT)),
    "MultiHeadAttention, value_dim": Case(mha(value_dim=6), (SEQUENCE, CONTEXT)),
    "MultiHeadAttention, dropout": Case(mha(dropout=0.1), (SEQUENCE, SEQUENCE), CAUSAL),
    "MultiHeadAttention, scores": Case(mha(), (SEQUENCE, SEQUENCE),
                                       {"return_attention_scores": True}),
    "GroupQueryAttention": Case(gqa(), (SEQUENCE, SEQUENCE)),
    "GroupQueryAttention, causal": Case(gqa(), (SEQUENCE, SEQUENCE), CAUSAL),
    "Attention": Case(layer("Attention"), ([SEQUENCE, CONTEXT],)),
    "Attention, scaled and causal": Case(layer("Attention", use_scale=True),
                                         ([SEQUENCE, SEQUENCE],), CAUSAL),
    "Attention, masked": Case(layer("Attention"), ([SEQUENCE, SEQUENCE],),
                              {"mask": [PADDING, PADDING]}),
    "AdditiveAttention": Case(layer("AdditiveAttention"), ([SEQUENCE, CONTEXT],)),
    "AveragePooling1D": Case(layer("AveragePooling1D", 3, 2, padding="same"), (LINE,)),
    "AveragePooling2D": Case(layer("AveragePooling2D", 3, 2, padding="same"), (IMAGE,)),
    "AveragePooling3D": Case(layer("AveragePooling3D", 3, 2, padding="same"), (VOLUME,)),
    "MaxPooling2D": Case(layer("MaxPooling2D", 3, 2, padding="same"), (IMAGE,)),
    "GlobalAveragePooling1D, masked": Case(layer("GlobalAveragePooling1D"), (SEQUENCE,),
                                           {"mask": PADDING}),
    "GlobalAveragePooling2D": Case(layer("GlobalAveragePooling2D"), (IMAGE,)),
    "GlobalMaxPooling2D": Case(layer("GlobalMaxPooling2D"), (IMAGE,)),
    "SimpleRNN": Case(layer("SimpleRNN", 12, **RECURRENT), (SEQUENCE,)),
    "LSTM": Case(layer("LSTM", 12, return_sequences=True, **RECURRENT), (SEQUENCE,)),
    "LSTM, masked": Case(layer("LSTM", 12, **RECURRENT), (SEQUENCE,), {"mask": PADDING}),
    "LSTM, hard_sigmoid": Case(
        layer("LSTM", 12, recurrent_activation="hard_sigmoid", **RECURRENT), (SEQUENCE,)),
    "GRU": Case(layer("GRU", 12, return_sequences=True, **RECURRENT), (SEQUENCE,)),
    "GRU, reset before": Case(layer("GRU", 12, reset_after=False, **RECURRENT), (SEQUENCE,)),
    "Bidirectional": Case(
        wrapped("Bidirectional", layer("LSTM", 8, return_sequences=True, **RECURRENT)),
        (SEQUENCE,)),
    "ConvLSTM2D": Case(layer("ConvLSTM2D", 4, 3, padding="same", **RECURRENT), (FRAMES,)),
    "TimeDistributed": Case(wrapped("TimeDistributed", layer("Conv2D", 4, 3)), (FRAMES,)),
    "Softmax": Case(layer("Softmax"), (SEQUENCE * 3,)),
    "Softmax, masked": Case(layer("Softmax"), (normal(4, 8, 16),),
                            {"mask": PADDING[:, None, :] & np.ones((1, 8, 1), bool)}),
    "ReLU, bounded and leaky": Case(
        layer("ReLU", max_value=1.5, negative_slope=0.1, threshold=0.2), (SEQUENCE,)),
    "LeakyReLU": Case(layer("LeakyReLU"), (SEQUENCE,)),
    "PReLU": Case(layer("PReLU"), (SEQUENCE,)),
    "ELU": Case(layer("ELU"), (SEQUENCE,)),
    **{f"Activation, {name}": activation(name) for name in (
        "gelu", "silu", "selu", "mish", "softplus", "softsign", "exponential", "tanh", "sigmoid",
        "hard_sigmoid", "hard_silu", "log_softmax", "relu6", "celu", "glu", "log_sigmoid",
        "squareplus", "sparse_plus", "hard_tanh", "soft_shrink", "tanh_shrink")},
    "UpSampling2D, bilinear": Case(layer("UpSampling2D", 2, interpolation="bilinear"), (IMAGE,)),
    "UpSampling2D, bicubic": Case(layer("UpSampling2D", 2, interpolation="bicubic"), (IMAGE,)),
    **{f"Resizing, {name}": Case(layer("Resizing", 17, 9, interpolation=name), (POSITIVE,))
       for name in ("bilinear", "bicubic", "nearest", "lanczos3")},
    "Rescaling": Case(layer("Rescaling", 1 / 255, offset=-0.5), (POSITIVE * 100,)),
    "Normalization": Case(layer("Normalization", mean=0.3, variance=2.0), (POSITIVE,)),
    "CenterCrop": Case(layer("CenterCrop", 8, 7), (POSITIVE,)),
    "ZeroPadding2D": Case(layer("ZeroPadding2D", 1), (IMAGE,)),
    "Average": Case(layer("Average"), ([SEQUENCE, SEQUENCE * 3, -SEQUENCE],)),
    "Multiply": Case(layer("Multiply"), ([SEQUENCE, SEQUENCE * 3],)),
    "Dot, normalised": Case(layer("Dot", axes=-1, normalize=True), ([SEQUENCE, CONTEXT],)),
    "MelSpectrogram": Case(
        layer("MelSpectrogram", fft_length=256, num_mel_bins=20, sampling_rate=8000), (WAVE,)),
    "STFTSpectrogram": Case(
        layer("STFTSpectrogram", frame_length=128, frame_step=64, fft_length=128),
        (WAVE[..., None],)),
    "Discretization": Case(
        layer("Discretization", bin_boundaries=[-1.0, 0.0, 1.0]), (SEQUENCE,)),
    "CategoryEncoding, counts": Case(
        layer("CategoryEncoding", num_tokens=50, output_mode="count"), (TOKENS,)),
}  # fmt: skip
