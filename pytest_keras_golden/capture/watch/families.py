"""The classes that a watch looks for: those of Keras, and on a side that runs Keras 2 its own too.

`tf_keras` kept the class names, attributes and methods that capturing reads: `__call__` and `call`,
`_compute_attention`, `_flatten_layers`, `_keras_mask` on tensors. What it has otherwise is here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

from ...stack import FRAMEWORK, keras_2

WEIGHTS = ("_trainable_weights", "_non_trainable_weights")
"""Attributes of a layer of Keras 2 that list its own weights."""

WEIGHT_NAMES: Mapping[str, Mapping[str, str]] = {
    "DepthwiseConv1D": {"depthwise_kernel": "kernel"},
    "DepthwiseConv2D": {"depthwise_kernel": "kernel"},
}
"""Class → attribute of Keras 2 that holds a weight → as Keras 3 has it."""

PRIVATE = frozenset(
    {
        *("_input_coordinates", "_input_layers", "_layer_call_argspecs", "_nested_inputs"),
        *("_nested_outputs", "_network_nodes", "_nodes_by_depth", "_output_coordinates"),
        *("_output_layers", "_inbound_nodes_value", "_outbound_nodes_value", "_callable_losses"),
        *("_obj_reference_counts_dict", "_losses", "_metrics", *WEIGHTS),
    }
)
"""Attributes of Keras 2 itself that list layers again."""

TRACKING = frozenset(
    f"_self_{name}"
    for name in (
        *("unconditional_checkpoint_dependencies", "unconditional_deferred_dependencies"),
        *("unconditional_dependency_names", "name_based_restores", "saveable_object_factories"),
        *("setattr_tracking", "update_uid"),
    )
)
"""Attributes of TensorFlow's own tracking, which lists again what a layer holds elsewhere. By their
whole names: a `_self_attention` is a layer."""


def families() -> tuple[ModuleType, ...]:
    """The packages that layers may be of."""
    import keras

    old = keras_2()
    return (keras,) if old is None else (keras, old)


def is_of(value: Any, *names: str) -> bool:
    """Whether it is an instance of a class of `layers` by one of these names."""
    return isinstance(value, classes(*names))


def classes(*names: str) -> tuple[type, ...]:
    """Classes of `layers` by their names."""
    return _classes(names, os.environ.get(FRAMEWORK))


# Remembered: every call of every layer is asked about.
@lru_cache(maxsize=64)
def _classes(names: tuple[str, ...], framework: str | None) -> tuple[type, ...]:
    return tuple(getattr(family.layers, name) for family in families() for name in names)


def symbolic_classes() -> tuple[type, ...]:
    import keras

    old = keras_2()
    # No public name leads to it.
    return (keras.KerasTensor,) if old is None else (keras.KerasTensor, _of_graphs(old))


def _of_graphs(old: ModuleType) -> type:
    kind: type = old.src.engine.keras_tensor.KerasTensor
    return kind


def old_graph(layer: Any) -> list[Any] | None:
    """The layers that a model of Keras 2 runs, in its order; None of what is no graph of it."""
    old = keras_2()
    if old is None or not isinstance(layer, old.Model):
        return None
    if not (isinstance(layer, old.Sequential) or getattr(layer, "_is_graph_network", False)):
        return None
    return [child for child in layer.layers if not isinstance(child, old.layers.InputLayer)]


def is_old(layer: Any) -> bool:
    """Whether it is a layer of Keras 2."""
    old = keras_2()
    return old is not None and isinstance(layer, old.layers.Layer)


def weight_name(layer: Any, name: str) -> str:
    """A weight by the attribute that Keras 3 has for it."""
    if not is_old(layer):
        return name
    return WEIGHT_NAMES.get(type(layer).__name__, {}).get(name, name)
