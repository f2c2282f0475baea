"""Keras masks on tensors. Attention takes them off its inputs, so a call run again finds none."""

from __future__ import annotations

from typing import Any

from .precision import tensors_of

Masks = list[tuple[Any, Any]]
"""Tensors with what was attached to them, None where nothing was."""


def masks_of(*nests: Any) -> Masks:
    """What every tensor of these arguments carries now."""
    return [(tensor, getattr(tensor, "_keras_mask", None)) for tensor in tensors_of(list(nests))]


def put_masks(masks: Masks) -> None:
    """Attach the same again."""
    for tensor, mask in masks:
        if getattr(tensor, "_keras_mask", None) is not mask:
            tensor._keras_mask = mask


def with_mask_of(tensor: Any, new: Any) -> Any:
    """`new`, carrying the Keras mask of `tensor`; numpy arrays cannot carry any."""
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        new._keras_mask = mask
    return new
