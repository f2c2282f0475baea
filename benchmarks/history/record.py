"""Write what every layer of the running Keras computes to a safetensors file, and why some do not.

Run once per release and backend: `python record.py OUT.safetensors`. With `POLICY|CASE` behind it,
these alone are run, and their twins are written as well: what the same call computes in float64
(`capture.replay.twins`), in the dtype of the coarsest precision that the layer insists on.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from history import POLICIES
from history.layers import CASES, Case
from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.replay.lifted import downcasts, lifted
from pytest_keras_golden.capture.replay.twins import LOW, held
from pytest_keras_golden.capture.state.weights import fill_weights


def outputs(case: Case, policy: str) -> list[np.ndarray[Any, Any]]:
    """Of a first call that builds, the weights filled, and a second call."""
    layer = _filled(case, policy)
    return _arrays(layer(*deepcopy(case.inputs), **case.options))


def twins(case: Case, policy: str) -> list[np.ndarray[Any, Any]]:
    """The same with the second call in float64."""
    layer = _filled(case, policy)
    pins: set[str] = set()
    with ExitStack() as inside:
        inside.enter_context(lifted([layer], LOW, "float64"))
        inside.enter_context(downcasts(pins.add))
        arrays = _arrays(layer(*_raised(case.inputs), **case.options))
    return [held(array, pins) for array in arrays]


def _filled(case: Case, policy: str) -> Any:
    """Inputs are the call's own: on numpy some releases write into what they are given."""
    layer = case.build(policy)
    layer(*deepcopy(case.inputs), **case.options)
    fill_weights(layer)
    return layer


def _arrays(made: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(to_numpy(leaf), order="C") for _, leaf in flatten(made)]


def _raised(given: Any) -> Any:
    if isinstance(given, (tuple, list)):
        return type(given)(map(_raised, given))
    return given.astype(np.float64) if given.dtype == np.float32 else given


def recorded(keys: Sequence[str], raised: bool) -> Iterator[tuple[str, str, Any]]:
    """(kind, key, arrays or why there are none); kind: `output` or, where they are raised as well,
    `twin`."""
    for key in keys:
        policy, case = key.split("|")
        yield "output", key, _tried(outputs, CASES[case], policy)
        if raised:
            yield "twin", key, _tried(twins, CASES[case], policy)


def _tried(of: Any, case: Case, policy: str) -> Any:
    try:
        return of(case, policy)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


def main(place: str, *keys: str) -> None:
    arrays, failed = {}, {}
    every = keys or [f"{policy}|{name}" for name in CASES for policy in POLICIES]
    for kind, key, made in recorded(every, bool(keys)):
        if isinstance(made, str):
            failed[f"{kind}|{key}"] = made
        else:
            arrays.update({f"{kind}|{key}|{at}": array for at, array in enumerate(made)})
    metadata = {"keras": keras.__version__, "failed": json.dumps(failed)}
    save_file(arrays, place, metadata)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
