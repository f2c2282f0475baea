"""Attention cores: query, key, value, probabilities and output, whatever path computes them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .watch import Call

if TYPE_CHECKING:
    from ..records import Array

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
    batch, length, heads, _ = query.shape
    probs = np.empty((batch, heads, length, key.shape[1]), np.float32)
    keep = None if mask is None else np.broadcast_to(_four(mask), probs.shape).astype(bool)
    plus = None if bias is None else np.broadcast_to(_four(bias), probs.shape)
    causal = np.tri(length, key.shape[1], dtype=bool) if is_causal else None
    for at in range(batch):
        logits = _logits(query[at], key[at], scale)
        if soft_cap is not None:
            logits = np.tanh(logits / np.float32(soft_cap)) * np.float32(soft_cap)
        if plus is not None:
            logits = np.add(logits, plus[at].astype(np.float32))
        for allowed in (causal, None if keep is None else keep[at]):
            if allowed is not None:
                logits = np.where(allowed, logits, np.float32(-0.7) * np.finfo(np.float32).max)
        probs[at] = softmax(logits)
    return probs


def _logits(query: Array, key: Array, scale: float | None) -> Array:
    """One sequence: (T, N, H) and (S, K, H) to (N, T, S)."""
    rows = np.moveaxis(query.astype(np.float32), 1, 0)
    columns = np.repeat(np.moveaxis(key.astype(np.float32), 1, 0), rows.shape[0] // key.shape[1], 0)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    logits: Array = np.matmul(rows, np.swapaxes(columns, -1, -2)) * np.float32(factor)
    return logits


def softmax(logits: Array) -> Array:
    exps = np.exp(logits - logits.max(-1, keepdims=True))
    result: Array = exps / exps.sum(-1, keepdims=True)
    return result


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
