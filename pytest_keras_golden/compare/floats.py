"""Floating-point formats: their ε and bits, and how a chunk becomes float32 or float64."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from ..tolerance import EPSILON, EXACT_DTYPES

if TYPE_CHECKING:
    from ..records import Array

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def is_exact(dtype: np.dtype[Any]) -> bool:
    """bool and integers, which are compared without floating point."""
    return dtype.name in EXACT_DTYPES


def epsilon(precision: str) -> float:
    """Distance from 1 to the next number of that precision; 0 for bool and integers."""
    return EPSILON.get(precision, 0.0)


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Where chunks of `dtype` are compared: float64 for itself, float32 for narrower formats."""
    return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)


def widen(chunk: Array, out: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`chunk` exactly, in the working dtype; `out` is filled only where a conversion is needed."""
    if chunk.dtype == out.dtype:
        return chunk
    out = out[: chunk.size]
    if chunk.dtype == BFLOAT16:
        # Three times as fast as the cast of ml_dtypes: bfloat16 is the upper half of a float32.
        np.left_shift(chunk.view(np.uint16), 16, out=out.view(np.uint32), dtype=np.uint32)
    elif chunk.dtype.itemsize <= 2:
        np.take(_table(chunk.dtype), _bits(chunk), out=out, mode="clip")
    else:
        np.copyto(out, chunk)
    return out


@lru_cache(maxsize=8)
def _table(dtype: np.dtype[Any]) -> npt.NDArray[np.float32]:
    every = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    return every.view(dtype).astype(np.float32)


def _bits(array: Array) -> npt.NDArray[Any]:
    return array.view(f"u{array.dtype.itemsize}")


def ordered(chunk: Array) -> npt.NDArray[Any]:
    """Signed integers in the order of the values, one apart for neighbours; both zeros are 0.

    After https://randomascii.wordpress.com/2012/02/25/comparing-floating-point-numbers-2012-edition/
    """
    signed = chunk.view(f"i{chunk.dtype.itemsize}")
    # Negative floats are sign and magnitude: the lowest integer stands for -0.
    lowest = np.array(-1 << (8 * chunk.dtype.itemsize - 1), signed.dtype)
    return np.where(signed < 0, lowest - signed, signed)


def steps(actual: Array, golden: Array) -> npt.NDArray[Any]:
    """Representable values between two finite values at each place, as unsigned integers."""
    a, g = ordered(actual), ordered(golden)
    # As unsigned: values of opposite sign can be almost twice the signed range apart.
    unsigned = f"u{a.dtype.itemsize}"
    apart: npt.NDArray[Any] = np.maximum(a, g).view(unsigned) - np.minimum(a, g).view(unsigned)
    return apart


def mantissa_bits(dtype: np.dtype[Any]) -> int:
    """Stored bits of the significand."""
    return int(ml_dtypes.finfo(dtype).nmant)


def ulp_shift(dtype: np.dtype[Any], precision: str) -> int:
    """Bits by which the steps of the storage are finer than those of the precision."""
    eps = epsilon(precision or dtype.name)
    return max(0, mantissa_bits(dtype) + round(np.log2(eps))) if eps else 0


def in_the_coarser(one: Array, other: Array) -> tuple[Array, Array]:
    """Both in the coarser of their floating-point dtypes, rounded to it once."""
    if one.dtype == other.dtype or not (epsilon(one.dtype.name) and epsilon(other.dtype.name)):
        return one, other
    coarser = max((one.dtype, other.dtype), key=lambda dtype: epsilon(dtype.name))
    return one.astype(coarser), other.astype(coarser)
