"""The first step of a training, made again, is over with its first call: the rest may fail."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.processes

CODE = """
    import keras
    import numpy as np
    import torch
    from pytest_keras_golden.capture.block import capture_block
    from pytest_keras_golden.capture.tap.request import Request


    class Own(keras.Model):
        def train_step(self, batch):
            self.zero_grad()
            loss = torch.mean(torch.square(self(torch.as_tensor(batch))))
            loss.backward()
            with torch.no_grad():
                weights = self.trainable_weights
                self.optimizer.apply([weight.value.grad for weight in weights], weights)
            return {"loss": loss}


    given = keras.Input((4,))
    model = Own(given, keras.layers.Dense(2, name="last")(given))
    model.compile("sgd")
    x = np.ones((4, 4), "float32")
    model.fit(x, batch_size=2, verbose=0)
    with capture_block(None, Request()) as block:
        model.fit(x, batch_size=2, verbose=0)
    assert block.isolation == "complete", block.isolation
    assert "last" in "".join(call.name for call in block.calls)
"""


@pytest.mark.torch
def test_a_loss_that_the_method_for_one_batch_refuses(run_python: Any) -> None:
    run_python(CODE, "torch")
