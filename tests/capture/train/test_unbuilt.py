"""Models that have no weights before their training begins, as subclassed ones: built by a symbolic
run before the first step or, on TensorFlow, while that is traced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from backends import TRAINING

pytestmark = pytest.mark.processes

CODE = """
    import json
    import keras
    import numpy as np
    from pytest_keras_golden.capture.block import capture_block
    from pytest_keras_golden.capture.tap.request import Request

    X, Y = np.linspace(-1, 1, 48, dtype="float32").reshape(8, 6), np.ones((8, 1), "float32")


    class Own(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 4))

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w)


    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.own, self.head = Own(), keras.layers.Dense(1)

        def call(self, inputs):
            return self.head(self.own(inputs))


    WAYS = {
        "fit": lambda net: net.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history["loss"],
        "train_on_batch": lambda net: [net.train_on_batch(X, Y)],
        "evaluate": lambda net: [net.evaluate(X, Y, batch_size=4, verbose=0)],
    }


    def ran(way):
        keras.utils.set_random_seed(1)
        net = Net()
        net.compile("sgd", "mse")
        losses = WAYS[way](net)
        return losses, [float(keras.ops.sum(weight)) for weight in net.weights]


    told = {}
    for way in WAYS:
        plainly = ran(way)
        with capture_block(None, Request()) as block:
            watched = ran(way)
        told[way] = {
            "same": plainly == watched,
            "isolation": block.isolation,
            "weights": sorted(block.weights),
            "names": sorted(record.name for record in block.records),
        }
    print(json.dumps(told))
"""

DIRECT = """
    class Net(keras.Sequential):
        def __init__(self):
            super().__init__([keras.layers.Dense(4), keras.layers.Dense(1)])
"""

WEIGHTS = ["net/head/bias", "net/head/kernel", "net/own/w"]


@pytest.mark.parametrize("backend", TRAINING)
def test_a_model_that_its_training_builds_is_looked_into(run_python: Any, backend: str) -> None:
    told = json.loads(run_python(CODE, backend).splitlines()[-1])
    assert {way: (one["same"], one["isolation"]) for way, one in told.items()} == dict.fromkeys(
        ("fit", "train_on_batch", "evaluate"), (True, "complete")
    )
    assert [one["weights"] for one in told.values()] == [WEIGHTS] * 3
    of_steps = {f"step_00{step}/updates/{name}" for step in (0, 1) for name in WEIGHTS}
    assert of_steps <= set(told["fit"]["names"])
    assert {name for name in told["fit"]["names"] if "/gradients/" in name} == {
        f"step_00{step}/gradients/{name}" for step in (0, 1) for name in WEIGHTS
    }


@pytest.mark.parametrize("backend", TRAINING)
def test_weights_that_have_no_numbers_before_a_program_runs_are_handed_over(
    run_python: Any, backend: str
) -> None:
    """A `Sequential` without `Input`: TensorFlow makes its weights inside of the first step."""
    code = CODE.replace("    WAYS = {", DIRECT + "\n    WAYS = {", 1)
    told = json.loads(run_python(code, backend).splitlines()[-1])
    assert all(one["same"] for one in told.values())
    assert {len(one["weights"]) for one in told.values()} == {4}
    for way, steps in (("fit", (0, 1)), ("train_on_batch", (0,))):
        names = set(told[way]["names"])
        for part in ("gradients", "updates"):
            for step in steps:
                found = {name for name in names if f"step_00{step}/{part}/" in name}
                assert len(found) == 4, (way, part, step, sorted(names))


LATE = """
    X, Y = np.linspace(-1, 1, 48, dtype="float32").reshape(8, 6), np.ones((8, 1), "float32")
    net = Net()
    net.compile("sgd", "mse", steps_per_execution=2)
    with capture_block(None, Request()) as block:
        net.fit(X, Y, batch_size=2, validation_data=(X, Y), shuffle=False, verbose=0)
    print(block.isolation)
"""


@pytest.mark.tensorflow
def test_what_validation_finds_built_was_trained_before(run_python: Any) -> None:
    """Nobody can look into several steps at once there."""
    code = CODE.partition("    WAYS = {")[0] + LATE
    said = run_python(code, "tensorflow").splitlines()[-1]
    assert said == "unavailable: the model was not built before its training began"
