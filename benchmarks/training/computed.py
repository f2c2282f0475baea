"""What every scenario of training gives under the running Keras; a twin is all of it in float64."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from history.writing import Arrays
from keras.src.backend.common import global_state
from keras.src.utils import rng_utils

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.replay.lifted import downcasts, lifted
from pytest_keras_golden.capture.replay.twins import held
from training.scenarios import SCENARIOS

if keras.backend.backend() != "tensorflow":
    # To be seeded it would be imported, which takes longer than many scenarios.
    rng_utils.tf = SimpleNamespace(available=False)


def outputs(policy: str, name: str) -> Arrays:
    """What was counted in Python's numbers came from float32."""
    _anew("float32")
    made = SCENARIOS[name].run(policy)
    return {key: _narrowed(_array(value)) for key, value in made.items()}


def twins(policy: str, name: str) -> Arrays:
    if not SCENARIOS[name].twin:
        raise ValueError("draws of another precision are other draws")
    pins: set[str] = set()
    with ExitStack() as inside:
        inside.enter_context(lifted([], (), "float64"))
        _anew("float64")
        inside.callback(_anew, "float32")
        inside.enter_context(downcasts(pins.add))
        made = SCENARIOS[name].run("float64")
        return {key: held(_array(value), pins) for key, value in made.items()}


def _anew(precision: str) -> None:
    """Nothing is left of what was run before: all that `clear_session` does for the numbers,
    without the collection of garbage, which took four fifths of the time."""
    global_state.GLOBAL_STATE_TRACKER = threading.local()
    global_state.GLOBAL_SETTINGS_TRACKER = threading.local()
    keras.config.set_floatx(precision)
    keras.utils.set_random_seed(1)


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(to_numpy(value), order="C")


def _narrowed(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else array
