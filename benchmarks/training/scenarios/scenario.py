"""A scenario of training: what is run, and under which policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from history.layers import Array, normal

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.state.weights import fill_weights, named_weights

Named = Mapping[str, Any]
"""Arrays, tensors and numbers by name."""


@dataclass(frozen=True)
class Scenario:
    """run: policy → named arrays, for `float64` those of its twin. twin: whether that tells
    anything; draws of another precision are other draws."""

    run: Callable[[str], Named]
    policies: tuple[str, ...] = ("float32",)
    twin: bool = True


def alike(run: Callable[[], Named], *, twin: bool = True) -> Scenario:
    """A scenario that computes in the default precision, whatever that is."""
    return Scenario(lambda _: run(), twin=twin)


def floats(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Unit-scale numbers that are the same in every precision, as the default one."""
    return given(normal(*shape, seed=seed, scale=scale))


def given(array: Array) -> Array:
    """Floating-point numbers in the default precision, others as they are."""
    return array.astype(keras.config.floatx()) if array.dtype == np.float32 else array


def filled(model: Any) -> Any:
    """The model with weights that are the same in every precision on every release."""
    fill_weights(model)
    for variable in named_weights(model).values():
        if str(variable.dtype) == "float64":
            variable.assign(to_numpy(variable).astype(np.float32).astype(np.float64))
    return model


def weights(model: Any) -> Named:
    return {f"weights/{name}": value for name, value in named_weights(model).items()}


def slots(optimizer: Any) -> Named:
    """What an optimizer keeps, in its order; how it counts and its rate are no slots."""
    kept = [v for v in optimizer.variables if "float" in str(v.dtype) and len(v.shape)]
    return {f"slots/{at}": value for at, value in enumerate(kept)}
