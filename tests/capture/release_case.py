"""One release and backend: capture every style and policy, print what was seen as JSON.

Run as a script in a process of its own, with an overlay of Keras on PYTHONPATH.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import zoo
from isolating import ALL, isolating

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.state.weights import fill_weights, fingerprints


def case(style: str, policy: str) -> dict:
    keras.config.set_dtype_policy(policy)
    model = zoo.STYLES[style]()
    inputs = zoo.inputs(style)
    model(inputs)
    fill_weights(model, 0)
    plain = to_numpy(model(inputs))
    with capture_block(model, ALL) as block:
        watched = model(inputs)
    with isolating(block, model) as isolated:
        model(inputs)
    return {
        "names": [[record.name, record.kind, list(record.value.shape)] for record in block.records],
        "precision": sorted({record.precision for record in block.records}),
        "weights": fingerprints(model),
        "observer": plain.tobytes() == to_numpy(watched).tobytes(),
        "isolated": [measured.name for measured in isolated if not measured.identical],
        "logits": [record.name for record in block.records if record.kind == "logits"],
        "agrees": bool(
            np.array_equal(plain, next(r.value for r in block.records if r.kind == "logits"))
        ),
    }


def main(styles: list[str]) -> None:
    # Other models first: names must not depend on what was built before.
    keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(4)]).build((None, 2))
    cases = {
        f"{style}/{policy}": case(style, policy)
        for style in styles
        for policy in ("float32", "bfloat16")
    }
    json.dump({"keras": keras.__version__, "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
