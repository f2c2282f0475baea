"""jax arrays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ...errors import CaptureError

if TYPE_CHECKING:
    from ...records import Array


def owns(value: Any) -> bool:
    return isinstance(value, jax.Array) or _is_sparse(value)


def is_concrete(value: Any) -> bool:
    return not isinstance(value, jax.core.Tracer)


def to_numpy(value: Any) -> Array:
    if _is_sparse(value):
        raise CaptureError("a sparse jax array cannot be captured", "Check `x.todense()`.")
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
        raise CaptureError(
            f"a jax array of dtype {value.dtype} has no numbers of its own",
            "Check `jax.random.key_data(key)`.",
        )
    _refuse_unreadable(value)
    # A view of the device buffer on CPU: donated later, it would change under us.
    return np.array(value, order="C", copy=True)


def from_numpy(array: Array, like: Any) -> Any:
    return jax.device_put(array, None if isinstance(like, jax.core.Tracer) else like.sharding)


def _refuse_unreadable(value: Any) -> None:
    if value.is_deleted():
        raise CaptureError(
            "a jax array was deleted (its buffer was donated) before it could be captured",
            "Check it before the donating call, or compile without `donate_argnums`.",
        )
    if not value.is_fully_addressable:
        raise CaptureError(
            "a jax array lies partly on devices of another process",
            "Gather it with `jax.experimental.multihost_utils.process_allgather` first.",
        )


def _is_sparse(value: Any) -> bool:
    sparse = sys.modules.get("jax.experimental.sparse")
    return sparse is not None and isinstance(value, sparse.JAXSparse)
