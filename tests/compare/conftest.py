"""Tensors of every format that a golden holds, as hypothesis draws and seeds make them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, settings

# A shared machine stalls now and then; that is no failure of arithmetic.
settings.register_profile("numerics", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("numerics")

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = {
    np.dtype(kind).name: np.dtype(kind)
    for kind in (
        np.float64,
        np.float32,
        np.float16,
        ml_dtypes.bfloat16,
        ml_dtypes.float8_e4m3fn,
        ml_dtypes.float8_e5m2,
    )
}


def normal(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def cast(values: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    with np.errstate(all="ignore"):
        return np.asarray(values, np.float64).astype(dtype)
