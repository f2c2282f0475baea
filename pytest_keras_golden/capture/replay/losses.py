"""A loss by itself: on the same predictions and targets, whatever the layers before it rounded.

In low precision the loss of a step is as uncertain as the predictions that it is made of, and a
change of the loss's own hides in that. Given them, it is a matter of float32: Keras casts to it
first (`Loss.dtype`). It is run eagerly: a compiled step may skip the rounding of predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..backends import from_numpy, to_numpy
from ..state.masks import carrying, mask_of
from ..tap.precision import is_numeric
from ..watch.structure import is_own
from .lifted import FLOAT32_FOR

if TYPE_CHECKING:
    from ...records import Array

WHOLE = 1 << 17
"""Bytes of predictions or targets up to which they are kept for it."""

_ARGUMENTS = ("y_true", "y_pred", "sample_weight")
_NEEDED = frozenset(_ARGUMENTS[:2])
_MASK = "mask"


def given_to(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a loss was called with, by name, and the mask on its predictions."""
    given = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
    known = {name: given[name] for name in _ARGUMENTS if given.get(name) is not None}
    mask = mask_of(known["y_pred"]) if is_numeric(known.get("y_pred")) else None
    return known if mask is None else {**known, _MASK: mask}


def is_replayed(loss: Any, given: Mapping[str, Any], arithmetic: str, asked: bool) -> bool:
    """Whether to run it again. asked: the test names its model; of others, only code of Keras."""
    whole = given.keys() >= _NEEDED and all(map(is_numeric, given.values()))
    function = getattr(loss, "fn", None)
    own = is_own(loss) and (function is None or _is_of_keras(function))
    return whole and arithmetic in FLOAT32_FOR and (asked or own)


def _is_of_keras(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "keras"


def alone(loss: Any, given: Mapping[str, Array]) -> Array | None:
    """Its value for what another run gave it; None where something of that was not kept, or the
    loss cannot be run so: one of the user's own may rely on the step around it."""
    import keras

    if not given.keys() >= _NEEDED:
        return None
    like = keras.ops.zeros(())
    tensors = {name: from_numpy(array, like) for name, array in given.items()}
    mask = tensors.pop(_MASK, None)
    if mask is not None:
        tensors["y_pred"] = carrying(tensors["y_pred"], mask)
    try:
        with keras.StatelessScope():
            return to_numpy(loss(*(tensors[name] for name in _ARGUMENTS if name in tensors)))
    except Exception:  # whatever code of the user's raises: the loss of the step is judged anyway
        return None
