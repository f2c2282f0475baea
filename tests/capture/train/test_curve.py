"""What a `fit` said of its epochs is recorded, whatever its metrics say: numbers, or several."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.tap.request import Request

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "numpy", reason="Keras has no fit on numpy"
)


class Own(keras.callbacks.Callback):  # type: ignore[misc]
    """Says a tensor, as Keras does where it can make no number of one, and a word."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["own"] = keras.ops.convert_to_tensor(np.float32(epoch))
        logs["word"] = "well"


def test_numbers_arrays_and_tensors_are_curves_and_words_are_not() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    x, y = np.linspace(-1, 1, 48).reshape(12, 4), np.eye(3)[np.arange(12) % 3]
    with capture_block(None, Request(isolate=False)) as block:
        model.fit(x, y, epochs=2, callbacks=[Own()], verbose=0)
    curves = {
        record.name.partition("/")[2]: record.value
        for record in block.records
        if record.name.startswith("curve/")
    }
    assert {name: curve.shape for name, curve in curves.items()} == {
        "loss": (2,),
        "f1_score": (2, 3),
        "own": (2,),
    }
    assert curves["own"].tolist() == [0.0, 1.0]
