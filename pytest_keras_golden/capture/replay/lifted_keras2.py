"""What a layer of Keras 2 needs beside its policy to compute in a higher precision.

Its autocast was settled when its weights were made: here they are raised, which is exact, as are
statistics that it holds as tensors. Fused kernels of TensorFlow have no float64.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..watch.families import is_old

_POLICY = "_dtype_policy"
_COMPUTING = "_compute_dtype_object"
_FUSED = ("fused", "_fused")


def raised_attributes(layer: Any, low: Sequence[str], higher: str) -> list[tuple[str, Any]]:
    """Attribute → value for the time being, where it is another; none of a layer of Keras 3."""
    return list(_raised(layer, low, higher)) if is_old(layer) else []


def _raised(layer: Any, low: Sequence[str], higher: str) -> Iterator[tuple[str, Any]]:
    tf = sys.modules["tensorflow"]
    # With weights of float32, as far as it knows, a LayerNormalization takes a fused kernel.
    policy = copy.copy(vars(layer)[_POLICY])
    policy._variable_dtype = higher
    yield _POLICY, policy
    for name, value in vars(layer).items():
        if name == _COMPUTING:
            yield name, tf.as_dtype(higher)
        elif name in _FUSED and value:
            yield name, False
        elif isinstance(value, (tf.Variable, tf.Tensor)) and value.dtype.name in low:
            yield name, tf.constant(value.numpy(), higher)
