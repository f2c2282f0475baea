"""Which dtypes a golden holds, and what safetensors calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ..errors import StoreError

_CODES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
}
DTYPES: Mapping[str, np.dtype[Any]] = {code: np.dtype(kind) for code, kind in _CODES.items()}
CODES: Mapping[np.dtype[Any], str] = {dtype: code for code, dtype in DTYPES.items()}


def native(dtype: np.dtype[Any], name: str = "a tensor") -> np.dtype[Any]:
    """The dtype in little-endian order, as files have it.

    Raises StoreError, naming the tensor, where a golden cannot hold the dtype.
    """
    little: np.dtype[Any] = dtype.newbyteorder("<")
    if little in CODES:
        return little
    raise StoreError(
        f"{name} has dtype {dtype.name}: a golden holds {', '.join(map(str, CODES))}", _fix(dtype)
    )


def _fix(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "c":
        return "check its real and imaginary parts: check(name, {'re': x.real, 'im': x.imag})"
    return "convert it to one of these first, or do not select it"
