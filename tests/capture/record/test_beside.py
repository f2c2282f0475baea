"""A watched model predicts by what Keras traced before, as it does when nobody watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.processes
TRACING = ["jax", pytest.param("tensorflow", marks=pytest.mark.tensorflow)]

BEGIN = """
    import json
    import keras
    import numpy as np
    from pytest_keras_golden.capture.block import capture_block
    from pytest_keras_golden.capture.tap.request import Request


    class Scale(keras.layers.Layer):
        factor = 1.0

        def call(self, inputs):
            return inputs * self.factor


    class Batches(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            heard.append(batch)


    def generated():
        for number in (1.0, 2.0, 3.0):
            heard.append(f"batch {number}")
            yield (np.full((2, 4), number, "float32"),)


    def arrays():
        return np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4)


    heard, scale = [], Scale(name="scale")
    model = keras.Sequential([keras.Input((4,)), scale, keras.layers.Dense(3, name="last")])
    model.compile("sgd", "mse")
    model.set_weights([np.ones((4, 3)), np.zeros(3)])


    def changing(data):
        heard.clear()
        scale.factor = 1.0
        model.make_predict_function(force=True)
        first = model.predict(data(), verbose=0, callbacks=[Batches()])
        made = model.predict_function
        scale.factor = 2.0
        later = [model.predict(data(), verbose=0).tolist() for _ in range(2)]
        return first.tolist(), later, made is model.predict_function, list(heard)
"""

END = """
    told = {}
    for data in (generated, arrays):
        plainly = changing(data)
        with capture_block(None, Request(("all",), isolate=False)) as block:
            watched = changing(data)
        unseen = {kind: count for kind, count in block.unseen.items() if count}
        shapes = {record.name: record.value.shape for record in block.records}
        told[data.__name__] = plainly == watched, watched, unseen, shapes, block.observer
    print(json.dumps(told))
"""


@pytest.fixture
def ran(run_python: Any) -> Callable[..., dict[str, Any]]:
    def ran(backend: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(run_python(BEGIN + END, backend).splitlines()[-1])
        return told

    return ran


@pytest.mark.parametrize("backend", TRACING)
def test_an_attribute_set_between_two_predicts(
    ran: Callable[..., dict[str, Any]], backend: str
) -> None:
    for data, (same, watched, unseen, shapes, observer) in ran(backend).items():
        first, later, kept, _ = watched
        assert same, data
        assert later == [first, first]
        assert kept
        # Of what ran on, nothing but what it returned is known.
        assert unseen == {"inside of predict": 2}
        inside = [name for name in shapes if "scale" in name]
        assert inside == ["sequential/scale#0"]
        outputs = {name: shape for name, shape in shapes.items() if name not in inside}
        assert len(outputs) >= 3
        assert all(shape == [6, 3] for shape in outputs.values())
        assert observer == "changed"
