"""Copies of `.h5` files of Keras 2 with another configuration: repaired, or made to differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

CONFIG = "model_config"

REFUSED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D"), ("time_major",)),
    **dict.fromkeys(("DepthwiseConv2D", "Conv2DTranspose"), ("groups",)),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape", "softmax_robust_masking"),
    "Attention": ("score_mode",),
}
"""Class → arguments that Keras 2 writes and Keras 3 does not take; the values that the models here
have say nothing that is not so by default."""


def edited(file: Path, into: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A copy of a file, `change` applied to each serialized layer in it."""
    if file != into:
        shutil.copyfile(file, into)
    with h5py.File(into, "r+") as opened:
        config = json.loads(opened.attrs[CONFIG])
        for layer in layers(config):
            change(layer)
        opened.attrs[CONFIG] = json.dumps(config)


def layers(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialized layer, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("config"), dict) and "class_name" in value:
            yield value
        for item in value.values():
            yield from layers(item)
    elif isinstance(value, list):
        for item in value:
            yield from layers(item)


def repair(layer: dict[str, Any]) -> None:
    """What people take out by hand, or by subclasses that swallow it."""
    for name in REFUSED.get(layer["class_name"], ()):
        layer["config"].pop(name, None)
    axis = layer["config"].get("axis")
    if layer["class_name"] == "BatchNormalization" and isinstance(axis, list):
        layer["config"]["axis"] = axis[0]


NEEDED = ("attention",)
"""Models whose files Keras 2 cannot load without what Keras 3 refuses."""

Fault = tuple[str, str, str, Any]
"""Model, layer, argument, and its value on the side of Keras 3."""

FAULTS: dict[str, Fault] = {
    "activation": ("dense", "dense", "activation", "gelu"),
    "activation_of_several": ("activations", "under_tanh", "activation", "softsign"),
    "epsilon": ("batch_norm", "batch_normalization", "epsilon", 1e-2),
    "epsilon_of_rows": ("batch_norm_of_rows", "batch_normalization", "epsilon", 1e-3),
    "epsilon_of_layer": ("layer_norm", "layer_normalization_1", "epsilon", 1e-3),
    "momentum": ("batch_norm", "batch_normalization", "momentum", 0.9),
    "padding": ("convolution_same_strided", "conv2d_1", "padding", "valid"),
    "padding_causal": ("convolution_causal", "conv1d", "padding", "same"),
    "dilation": ("convolution_dilated", "conv2d", "dilation_rate", [1, 1]),
    "pooling": ("pooling", "average_pooling2d", "padding", "valid"),
    "interpolation": ("upsampling_bilinear", "up_sampling2d", "interpolation", "nearest"),
    "slope": ("rectifiers", "leaky_re_lu", "alpha", 0.3),
    "threshold": ("rectifiers", "re_lu", "threshold", 0.0),
    "groups": ("other_norms", "group_normalization", "groups", 2),
    "gate": ("several_inputs", "dense_2", "activation", "hard_sigmoid"),
    "recurrent_activation": ("lstm", "lstm", "recurrent_activation", "tanh"),
    "direction": ("lstm", "lstm_1", "go_backwards", False),
    "mask": ("embedded_with_mask", "embedding", "mask_zero", False),
}
"""Differences put into the side of Keras 3 alone, by the name of their file."""


def fault(layer: dict[str, Any], name: str) -> None:
    _, own, argument, value = FAULTS.get(name, ("", "", "", None))
    if own and layer["config"].get("name") == own:
        layer["config"][argument] = value
