"""numpy arrays and scalars, and what every captured array must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CaptureError

if TYPE_CHECKING:
    from ...records import Array


def owns(kind: type) -> bool:
    return issubclass(kind, (np.ndarray, np.generic))


def is_concrete(value: Any) -> bool:
    return True


def view(value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise CaptureError(
            "a masked array has no one value where it is masked",
            "Check `array.filled(0)` and `array.mask` apart.",
        )
    return np.asarray(value, dtype=value.dtype.newbyteorder("="))


def owned(array: Array) -> Array:
    """A C-order copy, into which nobody else writes."""
    return np.array(array, order="C", copy=True)


def from_numpy(array: Array, like: Any) -> Any:
    return array[()] if isinstance(like, np.generic) else array.copy()


def defer(value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None:
    """None: numpy compiles nothing."""
    return None


def trace_level() -> Any:
    return None


def is_traced(value: Any) -> bool:
    return False


def from_scalar(value: Any) -> Array:
    """A Python bool, int or float as an array; anything else is no tensor."""
    if isinstance(value, (bool, int, float)):
        return checked(np.array(value))
    raise CaptureError(
        f"{type(value).__module__}.{type(value).__qualname__} is no tensor of a loaded backend",
        "Pass tensors, numpy arrays or numbers; convert others with `numpy.asarray` first.",
    )


def checked(array: Array) -> Array:
    """`array`, if a golden can hold it without loss."""
    if _storable(array.dtype):
        return array
    raise CaptureError(
        f"tensors of dtype {array.dtype} cannot be captured; "
        "bool, integers of 8 to 64 bits and real floating point can",
        _FIXES.get(array.dtype.kind, "Cast the tensor to one of these before the check."),
    )


_FIXES = {
    "c": "Check the real and the imaginary part apart.",
    "O": "Check numbers: text and objects have no tolerance.",
    "U": "Check numbers: text and objects have no tolerance.",
    "S": "Check numbers: text and objects have no tolerance.",
}


def _storable(dtype: np.dtype[Any]) -> bool:
    if dtype.name.startswith(("bfloat16", "float8_")):
        return True
    return dtype.kind in "biuf" and dtype.type.__module__ == "numpy" and dtype.itemsize <= 8
