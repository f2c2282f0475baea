"""Attention cores: query, key, value, probabilities and output, whatever path computes them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..watch.calls import Call

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...records import Array

    Bools = npt.NDArray[np.bool_]
    _Floats = npt.NDArray[np.float32]

ROLES = ("query", "key", "value")


@dataclass(frozen=True)
class Scores:
    """What probabilities are rebuilt from; shapes as `keras.ops.dot_product_attention` takes them.

    query (B, T, N, H), key (B, S, K, H) with N a multiple of K; mask and bias broadcast to
    (B, N, T, S); scale None is 1/√H.
    """

    query: Any
    key: Any
    mask: Any = None
    bias: Any = None
    scale: float | None = None
    is_causal: bool = False
    soft_cap: float | None = None

    @property
    def tensors(self) -> tuple[Any, ...]:
        return tuple(
            part for part in (self.query, self.key, self.mask, self.bias) if part is not None
        )

    def rebuild(self, *arrays: Array) -> Array:
        """`probabilities` of the host copies of `tensors`."""
        query, key, *rest = arrays
        mask = rest.pop(0) if self.mask is not None else None
        bias = rest.pop(0) if self.bias is not None else None
        scale = None if self.scale is None else float(self.scale)
        return probabilities(query, key, mask, bias, scale, self.is_causal, self.soft_cap)


def arguments(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a core by name; the first three are called query, key and value."""
    bound = signature(call).bind(*args, **kwargs).arguments
    named = dict(bound)
    for role, name in zip(ROLES, list(bound), strict=False):
        named[role] = named.pop(name)
    return named


def signature(call: Call) -> inspect.Signature:
    """Of the watched method without `self`."""
    if call.method == "dot_product_attention":
        from keras.src import backend

        return inspect.signature(backend.nn.dot_product_attention)
    return inspect.signature(getattr(call.target, call.method))


def scores_of(fused: dict[str, Any]) -> Scores:
    """From the arguments of the backend's fused attention."""
    names = ("query", "key", "mask", "bias", "scale", "is_causal")
    known = {name: fused[name] for name in names if fused.get(name) is not None}
    return Scores(**known, soft_cap=fused.get("attn_logits_soft_cap"))


def probabilities(
    query: Array,
    key: Array,
    mask: Array | None = None,
    bias: Array | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    soft_cap: float | None = None,
) -> Array:
    """softmax(q·kᵀ·scale + bias) in float32, (B, N, T, S).

    A row without any unmasked position is uniform, as where masks are large negative numbers.
    """
    shape = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
    probs = np.empty(shape, np.float32)
    keep = None if mask is None else np.broadcast_to(_four(mask).astype(bool), shape)
    plus = None if bias is None else np.broadcast_to(_four(bias), shape)
    for at in range(shape[0]):
        rows, columns = _heads_first(query[at], shape[1]), _heads_first(key[at], shape[1])
        for part in _parts(*shape[1:]):
            factor = query.shape[-1] ** -0.5 if scale is None else scale
            logits = np.matmul(rows[part], np.swapaxes(columns[part[0]], -1, -2))
            logits *= np.float32(factor)
            if soft_cap is not None:
                logits = np.tanh(logits / np.float32(soft_cap)) * np.float32(soft_cap)
            if plus is not None:
                logits += plus[at][part].astype(np.float32)
            if is_causal:
                _mask(logits, np.tri(*shape[2:], dtype=bool)[part[1]])
            if keep is not None:
                _mask(logits, keep[at][part])
            probs[at][part] = softmax(logits)
    return probs


_BLOCK = 4 << 20
"""Bytes of logits held at a time."""

_Part = tuple[slice, slice]
"""Heads and rows."""


def _parts(heads: int, rows: int, columns: int) -> Iterator[_Part]:
    """Cut (heads, rows, columns) of float32 so that no part is much larger than `_BLOCK`."""
    high = max(1, _BLOCK // max(1, 4 * rows * columns))
    long = max(1, _BLOCK // max(1, 4 * columns * min(high, heads)))
    for head in range(0, heads, high):
        for row in range(0, rows, long):
            yield slice(head, head + high), slice(row, row + long)


def _heads_first(tensor: Array, heads: int) -> _Floats:
    """One sequence (T, K, H) as float32 (N, T, H), each of its K heads repeated N/K times."""
    moved = np.moveaxis(tensor.astype(np.float32), 1, 0)
    groups = heads // moved.shape[0]
    return moved if groups == 1 else np.repeat(moved, groups, 0)


def _mask(logits: _Floats, allowed: Bools) -> None:
    np.copyto(logits, np.float32(-0.7) * np.finfo(np.float32).max, where=~allowed)


def softmax(logits: _Floats) -> _Floats:
    """Over the last axis, in place."""
    logits -= logits.max(-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(-1, keepdims=True)
    return logits


def _four(array: Array) -> Array:
    """Broadcastable to (B, N, T, S): a missing heads axis is put in second place."""
    while array.ndim < 4:
        array = array[:, None] if array.ndim == 3 else array[None]
    return array


def as_probabilities(array: Array) -> Array:
    """Materialised probabilities in float32, head groups (B, K, G, T, S) merged to (B, N, T, S)."""
    if array.ndim == 5:
        batch, groups, size, rows, columns = array.shape
        array = array.reshape(batch, groups * size, rows, columns)
    return array.astype(np.float32)
