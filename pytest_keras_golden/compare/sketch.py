"""Large tensors as a few numbers that every one of their elements has a part in.

Whole gradients and slots of a large model are gigabytes a step. A tensor of more than `size`
elements is kept as `size` sums: element i goes into sum i mod `size` with a sign of its own, and
each sum is divided by the root of the number of its elements. So its rms is the tensor's, rounding
is in it as large as in the tensor, and no element is left out (count sketch: Charikar, Chen and
Farach-Colton, 2002).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..records import Array

BUDGET = 1 << 20
"""Bytes that the tensors of all recorded steps of one model are to stay below by default."""

LEAST, MOST = 64, 4096
"""Elements of a tensor that are kept whatever the number of weights."""

_TENSORS_A_WEIGHT = 4
"""Gradient, update and two slots, as Adam has them."""

_SEED = 0x6B657261


def size_for(weights: int, steps: int) -> int:
    """Elements to keep of each tensor of a model with so many weights: a power of two."""
    room = BUDGET // (4 * _TENSORS_A_WEIGHT * max(1, weights) * max(1, steps))
    return min(MOST, max(LEAST, 1 << max(0, room.bit_length() - 1)))


def sketched(array: Array, size: int) -> Array:
    """The array, or its sketch in float32 (float64 of float64), of shape (size,)."""
    if array.size <= size or not _is_floating(array):
        return array
    flat = np.asarray(array, order="C").reshape(-1)
    rows = -(-flat.size // size)
    sums = np.zeros(size, np.float64)
    signs = np.random.Philox(key=_SEED)
    # A gradient that is infinite is nothing that the test should hear of from here.
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, _BLOCK * size):
            part = flat[start : start + _BLOCK * size].astype(np.float64)
            part *= _signs(signs, part.size)
            part = np.concatenate([part, np.zeros(-part.size % size)])
            sums += part.reshape(-1, size).sum(0)
    kept = np.float64 if array.dtype == np.float64 else np.float32
    return (sums / math.sqrt(rows)).astype(kept)


def folded(sums: Array, size: int, elements: int) -> Array:
    """A sketch of a tensor of so many elements as the smaller one, of `size` sums, that it has."""
    if sums.size <= size:
        return sums
    rows, fewer = -(-elements // sums.size), -(-elements // size)
    wide = sums.astype(np.float64).reshape(-1, size).sum(0) * math.sqrt(rows)
    smaller: Array = (wide / math.sqrt(fewer)).astype(sums.dtype)
    return smaller


_BLOCK = 256
"""Rows of `size` elements that are summed at a time."""


def _signs(stream: np.random.Philox, count: int) -> npt.NDArray[np.float64]:
    words = stream.random_raw(-(-count // 64))
    bits = np.unpackbits(np.asarray(words, "<u8").view(np.uint8))[:count]
    return bits.astype(np.float64) * 2.0 - 1.0


def _is_floating(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat16", "float8"))
