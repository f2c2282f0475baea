"""The coarsest arithmetic behind a tensor, followed through a model by the tensors themselves."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any

from ...tolerance import EPSILON
from ..backends import is_concrete, is_tensor
from ..backends.nest import flatten


def coarsest(names: Iterable[str]) -> str:
    """The name with the largest ε; "" stands for no floating point and loses to all."""
    return max(names, key=lambda name: EPSILON.get(name, 0.0), default="")


def dtype_of(tensor: Any) -> str:
    """Floating-point dtype name of a tensor, "" for any other."""
    name = dtype_name(tensor.dtype)
    return name if name in EPSILON else ""


@cache
def dtype_name(dtype: Any) -> str:
    """Keras' name of any backend's dtype."""
    import keras

    return str(keras.backend.standardize_dtype(dtype))


def arithmetic(target: Any, tensors: Iterable[Any]) -> str:
    """Coarsest of the tensors' dtypes and the layer's compute dtype: what one call computes in.

    float32 on a device whose products are rounded to TF32 counts as tensorfloat32.
    """
    tensors = list(tensors)
    own = str(getattr(target, "compute_dtype", None) or "")
    name = coarsest([own if own in EPSILON else "", *map(dtype_of, tensors)])
    rounded = name == "float32" and any(_is_tf32(tensor, target) for tensor in tensors)
    return "tensorfloat32" if rounded else name


def tensors_of(nest: Any) -> list[Any]:
    """Leaves of a nest that a golden can hold."""
    return [leaf for _, leaf in flatten(nest) if is_numeric(leaf)]


def is_numeric(value: Any) -> bool:
    """A tensor of numbers: text and objects are none."""
    return is_tensor(value) and not _is_text(value.dtype)


def is_eager(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether every tensor among the arguments holds numbers now."""
    return all(is_concrete(tensor) for tensor in tensors_of([args, kwargs]))


@cache
def _is_text(dtype: Any) -> bool:
    return re.search("object|string|<U|variant", str(dtype)) is not None


class Provenance:
    """Precision of tensors by identity. Holds them weakly."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], str]] = {}

    def learn(self, tensor: Any, precision: str) -> None:
        key = id(tensor)

        def forget(_: Any) -> None:
            self._known.pop(key, None)

        try:
            self._known[key] = weakref.ref(tensor, forget), precision
        except TypeError:
            self._known.pop(key, None)

    def of(self, tensor: Any, around: str) -> str:
        """What is known of the tensor; one made between layers is as coarse as they are."""
        reference, precision = self._known.get(id(tensor), (None, ""))
        if reference is not None and reference() is tensor:
            return precision
        return coarsest([dtype_of(tensor), around]) if dtype_of(tensor) else ""


def _is_tf32(tensor: Any, target: Any) -> bool:
    library = type(tensor).__module__.partition(".")[0]
    if library == "torch":
        return tensor.device.type == "cuda" and _is_tf32_torch(target)
    if library == "jaxlib":
        return _is_tf32_jax(tensor)
    if library == "tensorflow" and "GPU" in str(getattr(tensor, "device", "")):
        tf = sys.modules["tensorflow"]
        return bool(tf.config.experimental.tensor_float_32_execution_enabled())
    return False


def _is_tf32_torch(target: Any) -> bool:
    """Two switches: that of matrix products is off as torch comes, that of cuDNN is on."""
    torch = sys.modules["torch"]
    if torch.get_float32_matmul_precision() != "highest":
        return True
    return bool(torch.backends.cudnn.allow_tf32) and _runs_on_cudnn(type(target))


def _runs_on_cudnn(kind: type) -> bool:
    """Convolutions and recurrent layers, Keras' own and what is built on them; operations too."""
    names = [base.__name__ for base in kind.__mro__]
    return any("Conv" in name or name in ("RNN", "LSTM", "GRU", "SimpleRNN") for name in names)


def _is_tf32_jax(tensor: Any) -> bool:
    on_gpu = any(device.platform == "gpu" for device in tensor.devices())
    wanted = sys.modules["jax"].config.jax_default_matmul_precision
    return on_gpu and wanted not in ("highest", "float32", "F32_F32_F32")
