"""TensorFlow tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ...errors import CaptureError

if TYPE_CHECKING:
    from ...records import Array

_IRREGULAR = {
    tf.RaggedTensor: "Check `x.to_tensor()`.",
    tf.SparseTensor: "Check `tf.sparse.to_dense(x)`.",
    tf.IndexedSlices: "Check `tf.convert_to_tensor(x)`.",
}


def owns(value: Any) -> bool:
    return isinstance(value, (tf.Tensor, tf.Variable, *_IRREGULAR))


def is_concrete(value: Any) -> bool:
    if isinstance(value, tf.Tensor):
        return not tf.is_symbolic_tensor(value)
    if isinstance(value, tf.Variable):
        return bool(tf.executing_eagerly())
    return all(is_concrete(part) for part in tf.nest.flatten(value, expand_composites=True))


def to_numpy(value: Any) -> Array:
    for irregular, fix in _IRREGULAR.items():
        if isinstance(value, irregular):
            raise CaptureError(f"a tf.{irregular.__name__} cannot be captured", fix)
    return np.array(value.numpy(), order="C", copy=True)


def from_numpy(array: Array, like: Any) -> Any:
    with tf.device(getattr(like, "device", None)):
        return tf.constant(array)
