"""The identity of a tensor: its hash over dtype, shape and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from .dtypes import native

if TYPE_CHECKING:
    from ..records import Array

BLOCK = 4 << 20
"""Bytes read, hashed, written or copied at a time."""


def digest(array: Array) -> str:
    """xxh3-128, 32 hex digits, over dtype name, shape and C-order little-endian bytes.

    Contiguous arrays are not copied, others block by block. Raises StoreError for a dtype that
    no golden holds.
    """
    running = start(array)
    for block in blocks(array):
        running.update(block)
    return running.hexdigest()


def start(array: Array) -> xxhash.xxh3_128:
    """The hash before any bytes: equal bytes of another dtype or shape are another tensor."""
    return xxhash.xxh3_128(f"{native(array.dtype).name}{list(array.shape)}".encode())


def blocks(array: Array) -> Iterator[memoryview]:
    """The array's bytes in C order and native byte order, at most 4 MiB at a time."""
    dtype = native(array.dtype)
    if array.flags.c_contiguous and dtype == array.dtype:
        flat = array.reshape(-1).view(np.uint8).data
        yield from (flat[at : at + BLOCK] for at in range(0, len(flat), BLOCK))
    elif array.nbytes <= BLOCK:
        yield from blocks(np.asarray(array, dtype, order="C"))
    else:
        for part in _parts(array):
            yield from blocks(part)


def _parts(array: Array) -> Iterator[Any]:
    """Slices along the first axis, of about a block, or single rows where rows are larger."""
    if len(array) == 1:
        yield array[0]
        return
    rows = max(1, BLOCK * len(array) // array.nbytes)
    yield from (array[at : at + rows] for at in range(0, len(array), rows))
