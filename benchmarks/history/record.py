"""Write what every layer of the running Keras computes to a safetensors file, and why some do not.

Run once per release and backend: `python record.py OUT.safetensors`.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from history.layers import CASES, Case
from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.weights import fill_weights

POLICIES = ("float32", "bfloat16")


def outputs(case: Case, policy: str) -> Iterator[np.ndarray[Any, Any]]:
    """Of a first call that builds, the weights filled, and a second call."""
    layer = case.build(policy)
    layer(*case.inputs, **case.options)
    fill_weights(layer)
    for _, leaf in flatten(layer(*case.inputs, **case.options)):
        yield np.asarray(to_numpy(leaf), order="C")


def main(place: str) -> None:
    arrays, failed = {}, {}
    for name, case in CASES.items():
        for policy in POLICIES:
            try:
                for at, array in enumerate(outputs(case, policy)):
                    arrays[f"{policy}|{name}|{at}"] = array
            except Exception as error:
                failed[f"{policy}|{name}"] = f"{type(error).__name__}: {str(error)[:300]}"
    metadata = {"keras": keras.__version__, "failed": json.dumps(failed)}
    save_file(arrays, place, metadata)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
