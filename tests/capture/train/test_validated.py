"""A validation runs with weights of steps that nobody looked at: they explain its losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from preloaded import judged

SUITE = """
    import os
    import keras
    import numpy as np

    class Later(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3 and os.environ["WHAT"] == "rate":
                self.model.optimizer.learning_rate = 0.09

    class Loss(keras.losses.Loss):
        def call(self, y_true, y_pred):
            factor = 1.1 if os.environ["WHAT"] == "loss" and y_true.shape[0] == 3 else 1.0
            return factor * keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)

    def test_fit(golden_tensors):
        rng = np.random.default_rng(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="last")])
        model.compile(keras.optimizers.SGD(0.1), Loss(name="own"))
        golden_tensors.fill_weights(model)
        x, y = rng.normal(size=(24, 4)), rng.normal(size=(24, 3))
        given = {"validation_data": (x[:3], y[:3]), "callbacks": [Later()]}
        with golden_tensors.capture(model, select="training"):
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, **given)
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite; the log of its one test."""
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras has no fit on numpy")
    suite.makepyfile(SUITE)

    def run(*arguments: str, what: str = "") -> dict[str, Any]:
        monkeypatch.setenv("WHAT", what)
        return judged(suite, *arguments)

    return run


def test_its_loss_is_not_to_blame_for_what_the_training_made(run: Run) -> None:
    assert run("--update-goldens")["outcome"] == "recorded"
    test = run(what="rate")
    assert test["outcome"] == "failed"
    assert test["first_drift"].startswith("test_step_000/")
    assert test["local_drift"] == []


def test_its_loss_is_to_blame_where_the_training_is_what_it_was(run: Run) -> None:
    assert run("--update-goldens")["outcome"] == "recorded"
    test = run(what="loss")
    assert test["outcome"] == "failed"
    assert test["local_drift"] == ["loss:own"]
