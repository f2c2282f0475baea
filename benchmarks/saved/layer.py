"""Saves models around one layer each, under the release that is first on the path: `layer.py FOLDER
CASE…`, of benchmarks/history's layers, each in every precision.

Prints a line of JSON per model: its file, its case and precision, and why it is not saved there.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from history import POLICIES
from history.layers import CASES

from pytest_keras_golden.capture.backends.nest import exchanged
from pytest_keras_golden.capture.loading.load import one_line
from pytest_keras_golden.capture.state.weights import fill_weights

LAYER, HEAD = "subject", "head"


def model(name: str, policy: str) -> Any:
    """Inputs of the case's shapes, the layer with the case's options, a head behind it."""
    case, inputs = CASES[name], []

    def symbolic(array: Any) -> Any:
        if not isinstance(array, np.ndarray):
            return array
        kind = {"f": "float32", "i": "int32", "b": "bool"}[array.dtype.kind]
        inputs.append(keras.Input(array.shape[1:], dtype=kind, name=f"input_{len(inputs)}"))
        return inputs[-1]

    subject = case.build(policy)
    subject.name = LAYER
    arguments = exchanged(list(case.inputs), symbolic)
    # A mask of the case is one more input.
    options = exchanged(case.options, symbolic)
    outputs = subject(*arguments, **options)
    first = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
    behind = keras.layers.Dense(2, name=HEAD)(keras.layers.Flatten(name="flat")(first))
    made = keras.Model(inputs, [first, behind])
    fill_weights(made)
    return made


def save(name: str, policy: str, path: Path) -> str | None:
    try:
        model(name, policy).save(path)
    except Exception as error:
        path.unlink(missing_ok=True)
        return one_line(error)
    return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:]:
        for policy in POLICIES:
            path = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{policy}.keras"
            print(json.dumps([path.name, name, policy, save(name, policy, path)]), flush=True)
