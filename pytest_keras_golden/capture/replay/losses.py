"""A loss or a metric by itself: on the same predictions and targets, whatever the layers before it
rounded.

The loss of a step is as uncertain as the predictions that it is made of, and a change of the loss's
own hides in that, or behind a layer that changed as well. Given them, it is a matter of float32:
Keras casts to it first (`Loss.dtype`). It is run eagerly: a compiled step may skip the rounding of
predictions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...compare.sketch import sketched
from ...errors import CaptureError
from ..backends import from_numpy, pulled_back, to_numpy
from ..backends.nest import flatten
from ..state.masks import carrying, mask_of
from ..state.seeds import tensorflow_left_out
from ..tap.precision import is_numeric
from ..watch.structure import is_own
from ..watch.unnoticed import unnoticed
from .pullback import cotangents

if TYPE_CHECKING:
    from ...records import Array

WHOLE = 1 << 17
"""Bytes of predictions or targets up to which they are kept for it."""

VALUE = "value"
GRADIENT = "gradient"
"""Beside its value: what a loss sends back to the predictions, for a fixed cotangent."""

_ARGUMENTS = ("y_true", "y_pred", "sample_weight")
_NEEDED = frozenset(_ARGUMENTS[:2])
_MASK = "mask"


def given_to(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a loss was called with, by name, and the mask on its predictions."""
    given = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
    known = {name: given[name] for name in _ARGUMENTS if given.get(name) is not None}
    mask = mask_of(known["y_pred"]) if is_numeric(known.get("y_pred")) else None
    return known if mask is None else {**known, _MASK: mask}


def is_replayed(of: Any, given: Mapping[str, Any], asked: bool) -> bool:
    """Whether to run a loss or a metric again. asked: the test names its model; of others, only
    code of Keras."""
    whole = given.keys() >= _NEEDED and all(map(is_numeric, given.values()))
    function = getattr(of, "fn", None) or getattr(of, "_fn", None)
    own = is_own(of) and (function is None or _is_of_keras(function))
    return whole and (asked or own)


def _is_of_keras(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "keras"


@lru_cache(maxsize=256)
def compares(kind: Any) -> bool:
    """Whether a class of metrics is given targets and predictions; a mean is given values."""
    names = list(inspect.signature(kind.update_state).parameters)
    return names[1:3] == list(_ARGUMENTS[:2])


def given_in(names: Iterable[str]) -> dict[ToldPart, dict[str, str]]:
    """Loss or metric of a step → argument → which of these tensors it was given as that."""
    groups: dict[ToldPart, dict[str, str]] = {}
    for full in names:
        step, found, rest = full.partition("/given/")
        if found:
            name, _, argument = rest.rpartition("/")
            argument, again = uncounted(argument)
            groups.setdefault(ToldPart(step, name, again), {})[argument] = full
    return groups


class ToldPart(NamedTuple):
    """A loss or a metric of a step: `step_000`, `mse`. again: `@1` in the second training of a
    block, whose names are those of the first."""

    step: str
    name: str
    again: str = ""

    def alone(self, what: str) -> str:
        """The tensor that holds what it makes by itself: `step_000/alone/mse`.

        Of a second training it is `step_000/alone/mse/value@1`, since `step_000/alone/mse@1` is
        what the second `mse` of one step makes."""
        held = what or (VALUE if self.again else "")
        return "/".join(filter(None, (self.step, "alone", self.name, held))) + self.again


def uncounted(name: str) -> tuple[str, str]:
    """`y_pred` and `@1` of `y_pred@1`."""
    plain, at, count = name.rpartition("@")
    return (plain, at + count) if plain and count.isdecimal() else (name, "")


METRICS = "metrics/"
"""How the names of metrics begin among those of losses."""


def by_itself(of: Any, given: Mapping[str, Array], size: int) -> Mapping[str, Array]:
    """What a loss, or a metric, makes of what another run gave it: see `alone`, `measured`."""
    return measured(of, given) if hasattr(of, "update_state") else alone(of, given, size)


def alone(loss: Any, given: Mapping[str, Array], size: int) -> Mapping[str, Array]:
    """ "" → its value for what another run gave it, and the gradient by predictions in `size`
    elements; empty where something of that was not kept, or the loss cannot be run so: one of the
    user's own may rely on the step around it."""
    import keras

    if not given.keys() >= _NEEDED:
        return {}
    tensors = _tensors(given)

    def value(predictions: Any) -> Any:
        others = {**tensors, "y_pred": predictions}
        mask = others.pop(_MASK, None)
        others["y_pred"] = predictions if mask is None else carrying(predictions, mask)
        return loss(*(others[name] for name in _ARGUMENTS if name in others))

    try:
        with unnoticed(loss), keras.StatelessScope():
            made = {"": to_numpy(value(tensors["y_pred"]))}
            return {**made, **_gradient(value, tensors["y_pred"], size)}
    except Exception:  # whatever code of the user's raises: the loss of the step is judged anyway
        return {}


def _gradient(value: Callable[[Any], Any], at: Any, size: int) -> dict[str, Array]:
    try:
        (grad,) = pulled_back(lambda given: [value(given[0])], [at], cotangents)
    except CaptureError:  # numpy does not differentiate
        return {}
    return {} if grad is None else {GRADIENT: sketched(to_numpy(grad), size)}


def measured(metric: Any, given: Mapping[str, Array]) -> Mapping[str, Array]:
    """ "" → the values of a metric, made anew from its configuration, that is given nothing else;
    empty where it cannot be made so."""
    if not given.keys() >= _NEEDED:
        return {}
    tensors = _tensors(given)
    mask = tensors.pop(_MASK, None)
    if mask is not None:
        tensors["y_pred"] = carrying(tensors["y_pred"], mask)
    try:
        with unnoticed(metric), tensorflow_left_out():
            fresh = type(metric).from_config(metric.get_config())
            fresh.update_state(*(tensors[name] for name in _ARGUMENTS if name in tensors))
            values = [to_numpy(leaf).ravel() for _, leaf in flatten(fresh.result())]
        return {"": np.concatenate(values)}
    except Exception:  # whatever code of the user's raises: what it says in the step is judged
        return {}


def _tensors(given: Mapping[str, Array]) -> dict[str, Any]:
    import keras

    like = keras.ops.zeros(())
    return {name: from_numpy(array, like) for name, array in given.items()}
