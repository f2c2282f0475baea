"""How much of a captured tensor is kept: all of it, its first and last rows, or an error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import CaptureError
from .precision import dtype_name

if TYPE_CHECKING:
    from ...records import Array


@dataclass(frozen=True, slots=True)
class Limit:
    """max_bytes: largest tensor that is kept. rows: so many of the first and as many of the last
    positions along the second to last axis are kept; None keeps all."""

    max_bytes: int | None = None
    rows: int | None = None

    def parts(self, tensor: Any) -> list[Any]:
        """What is to be kept of a tensor of any backend, to be joined along axis -2."""
        shape = tensor.shape
        if self.rows is None or len(shape) < 2 or int(shape[-2]) <= 2 * self.rows:
            return [tensor]
        return [tensor[..., : self.rows, :], tensor[..., -self.rows :, :]]

    def kept(self, name: str, array: Array) -> Array:
        """The rows to keep, as an array of their own. Raises CaptureError beyond `max_bytes`."""
        import numpy as np

        parts = self.parts(array)
        self.require(name, parts)
        return np.concatenate(parts, axis=-2) if len(parts) > 1 else array

    def require(self, name: str, parts: list[Any]) -> None:
        """Raises CaptureError where `parts` together have more than `max_bytes`."""
        size = sum(map(nbytes, parts))
        if self.max_bytes is None or size <= self.max_bytes:
            return
        shapes = " and ".join(str(tuple(part.shape)) for part in parts)
        raise CaptureError(
            f"{name} has {size} bytes (shape {shapes}), "
            f"more than golden_max_bytes = {self.max_bytes}",
            "Keep its first and last rows only, `capture(model, rows=8)` or golden_rows = 8, leave "
            "it out of `select`, or raise golden_max_bytes.",
        )


NO_LIMIT = Limit()


def nbytes(tensor: Any) -> int:
    name = dtype_name(tensor.dtype)
    size = 1 if name == "bool" or name.startswith("float8") else _bits(name) // 8
    return math.prod(int(length) for length in tensor.shape) * size


def _bits(dtype: str) -> int:
    return int("".join(filter(str.isdigit, dtype)) or 64)
