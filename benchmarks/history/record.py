"""Write what every layer of the running Keras computes (see `writing`).

Twins are what the same call computes in float64 (`capture.replay.twins`), in the dtype of the
coarsest precision that the layer insists on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from history import POLICIES
from history.layers import CASES, Case
from history.writing import Arrays, write
from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.replay.lifted import downcasts, lifted
from pytest_keras_golden.capture.replay.twins import LOW, held
from pytest_keras_golden.capture.state.weights import fill_weights


def record(cases: Mapping[str, Case]) -> None:
    """As the command line asks (see `writing`)."""
    every = [f"{policy}|{name}" for name in cases for policy in POLICIES]
    write(sys.argv[1:], every, partial(outputs, cases), partial(twins, cases))


def outputs(cases: Mapping[str, Case], policy: str, name: str) -> Arrays:
    """Of a first call that builds, the weights filled, and a second call."""
    case = cases[name]
    layer = _filled(case, policy)
    return _arrays(layer(*deepcopy(case.inputs), **case.options))


def twins(cases: Mapping[str, Case], policy: str, name: str) -> Arrays:
    """The same with the second call in float64."""
    case = cases[name]
    layer = _filled(case, policy)
    pins: set[str] = set()
    with ExitStack() as inside:
        inside.enter_context(lifted([layer], LOW, "float64"))
        inside.enter_context(downcasts(pins.add))
        arrays = _arrays(layer(*_raised(case.inputs), **case.options))
    return {at: held(array, pins) for at, array in arrays.items()}


def _filled(case: Case, policy: str) -> Any:
    """Inputs are the call's own: on numpy some releases write into what they are given."""
    # Keras draws from Python's generator as well.
    keras.utils.set_random_seed(0)
    layer = case.build(policy)
    layer(*deepcopy(case.inputs), **case.options)
    fill_weights(layer)
    return layer


def _arrays(made: Any) -> Arrays:
    leaves = (leaf for _, leaf in flatten(made))
    return {str(at): np.asarray(to_numpy(leaf), order="C") for at, leaf in enumerate(leaves)}


def _raised(given: Any) -> Any:
    if isinstance(given, (tuple, list)):
        return type(given)(map(_raised, given))
    return given.astype(np.float64) if given.dtype == np.float32 else given


if __name__ == "__main__":
    record(CASES)
