"""Keras masks on tensors. Attention takes them off its inputs, so a call run again finds none.

Where an array takes no attribute, as numpy's, Keras keeps its mask in a table of its own from 3.7
on, and carried none before.
"""

from __future__ import annotations

from typing import Any

from ..tap.precision import tensors_of

Masks = list[tuple[Any, Any]]
"""Tensors with what was attached to them, None where nothing was."""


def masks_of(*nests: Any) -> Masks:
    """What every tensor of these arguments carries now."""
    return [(tensor, mask_of(tensor)) for tensor in tensors_of(list(nests))]


def put_masks(masks: Masks) -> None:
    """Attach the same again."""
    for tensor, mask in masks:
        if mask_of(tensor) is not mask:
            _put(tensor, mask)


def with_mask_of(tensor: Any, new: Any) -> Any:
    """`new`, carrying the Keras mask of `tensor`."""
    mask = mask_of(tensor)
    if mask is not None:
        _put(new, mask)
    return new


def carrying(tensor: Any, mask: Any) -> Any:
    """`tensor`, carrying a Keras mask."""
    _put(tensor, mask)
    return tensor


def mask_of(tensor: Any) -> Any | None:
    """The Keras mask that a tensor carries."""
    try:
        from keras.src.backend.common.masking import get_keras_mask
    except ImportError:
        return getattr(tensor, "_keras_mask", None)
    return get_keras_mask(tensor)


def _put(tensor: Any, mask: Any | None) -> None:
    try:
        from keras.src.backend.common.masking import set_keras_mask
    except ImportError:
        tensor._keras_mask = mask
        return
    set_keras_mask(tensor, mask)
