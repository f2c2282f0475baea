"""The backward pass of one layer by itself: what it makes of golden inputs and a cotangent.

A vector-Jacobian product is linear in the cotangent, so that one drawn at random shows a change of
it as well as the one that the loss sends back would, and is the same on every side whatever became
of the layers behind (Hutchinson's argument: a matrix that maps a random vector to zero is zero with
probability one). It is drawn by the output's shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from ..backends import from_numpy, pulled_back, to_numpy
from ..state.masks import with_mask_of
from ..tap.precision import dtype_of
from ..watch.calls import Call
from ..watch.patches import Run
from ..watch.unnoticed import unnoticed
from .isolate import replaced
from .recorder import argument_tensors, output_tensors

if TYPE_CHECKING:
    from ...records import Array

Pulled = tuple["tuple[str, Array]", ...]
"""What a gradient is of, `input 0` or the name of a weight, and the gradient."""


def gradients(call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Pulled:
    """Of the inputs and trainable weights of a leaf, by inputs first; empty where it cannot be
    differentiated. The layer's state and random generators are what they were."""
    import keras

    live = argument_tensors(args, kwargs)
    places = [at for at, tensor in enumerate(live) if dtype_of(tensor)]
    weights = _weights(call)
    exchange = _Exchange(args, kwargs, live, places)

    def function(given: list[Any]) -> list[Any]:
        inner, named = exchange.by(given[: len(places)])
        mapping = list(zip(weights, given[len(places) :], strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            outputs = output_tensors(call, run(*inner, **named))
        return [output for output in outputs if dtype_of(output)]

    given = [*(live[at] for at in places), *(weight.value for weight in weights)]
    names = [*(f"input {at}" for at in places), *(str(weight.name) for weight in weights)]
    if not given:
        return ()
    try:
        with unnoticed(call.target):
            found = pulled_back(function, given, cotangents)
            every = zip(names, given, found, strict=True)
            return tuple((name, _told(of, grad)) for name, of, grad in every)
    except Exception:  # whatever differentiating it raises: the layer has no backward pass then
        return ()


STATE = "state "
"""How what a leaf keeps of a batch is told from its gradients."""


def states(call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Pulled:
    """What a leaf makes of the statistics that it keeps, as those of a batch normalisation; they
    are afterwards what they were."""
    import keras

    kept = [
        variable
        for variable in getattr(call.target, "non_trainable_variables", ())
        if dtype_of(variable.value)
    ]
    if not kept or call.kind == "attention":
        return ()
    try:
        with unnoticed(call.target), keras.StatelessScope() as scope:
            run(*args, **kwargs)
            found = [(variable, scope.get_current_value(variable)) for variable in kept]
            return tuple(
                (f"{STATE}{variable.name}", to_numpy(value))
                for variable, value in found
                if value is not None
            )
    except Exception:  # as above
        return ()


class _Exchange:
    """Arguments of a call with other tensors in some of their places, masks as they were."""

    def __init__(self, args: Any, kwargs: Any, live: Sequence[Any], places: Sequence[int]) -> None:
        self._nest = [args, dict(sorted(kwargs.items()))]
        self._live, self._places = live, places

    def by(self, given: Sequence[Any]) -> tuple[Any, Any]:
        pairs = zip(self._places, given, strict=True)
        args, kwargs = replaced(
            self._nest, {at: with_mask_of(self._live[at], tensor) for at, tensor in pairs}
        )
        return args, kwargs


def _weights(call: Call) -> list[Any]:
    """Of an attention core none: its layers around it have them."""
    own = call.kind != "attention"
    return list(getattr(call.target, "trainable_variables", ())) if own else []


def _told(of: Any, grad: Any) -> Array:
    """Of what has no part in the output, as a number that is used as an index: jax gives zeros (of
    no dtype of numbers for an integer), the others give nothing."""
    nothing = grad is None or not dtype_of(grad)
    return np.zeros_like(to_numpy(of)) if nothing else to_numpy(grad)


def cotangents(outputs: Sequence[Any]) -> list[Any]:
    """What is sent back to each of these, drawn by its shape and place."""
    import keras

    drawn = (_drawn(tuple(output.shape), at) for at, output in enumerate(outputs))
    return [
        keras.ops.cast(from_numpy(array, output), dtype_of(output))
        for array, output in zip(drawn, outputs, strict=True)
    ]


def _drawn(shape: tuple[int, ...], at: int) -> Array:
    """Odd sixteenths between -1 and 1, which every precision down to float8_e4m3fn holds."""
    size = int(np.prod(shape, dtype=np.int64))
    words = np.random.Philox(key=crc32(f"{at}:{shape}".encode())).random_raw(size)
    drawn: Array = ((2 * (words % np.uint64(16)).astype(np.float32) - 15) / 16).reshape(shape)
    return drawn
