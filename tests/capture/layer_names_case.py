"""One release: structural names of tensors and weights of every layer in benchmarks/history."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import keras

from benchmarks.history.layers import CASES
from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.state.weights import fingerprints
from pytest_keras_golden.capture.tap.request import Request


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, case in CASES.items():
        try:
            layer = case.build("float32")
            layer(*case.inputs, **case.options)
        except Exception:  # the release has no such layer, or it fails there by itself
            continue
        with capture_calls(layer, Request(("all",), isolate=False)) as block:
            layer(*case.inputs, **case.options)
        yield name, {"tensors": list(block.tensors), "weights": sorted(fingerprints(layer))}


if __name__ == "__main__":
    json.dump({"keras": keras.__version__, "cases": dict(cases())}, sys.stdout)
