"""Steps of a loop that a program makes: what they left is what is called behind them runs with."""

from __future__ import annotations

import keras
import pytest
from preloaded import judged

IN_A_PROGRAM = """
    import os
    import jax
    import keras
    import numpy as np

    def test_loop():
        x, y = np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4), np.ones((6, 3), "float32")
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="last")])
        optimizer = keras.optimizers.SGD(float(os.environ["RATE"]))
        optimizer.build(model.trainable_variables)

        def loss(weights):
            outputs, _ = model.stateless_call(weights, [], x)
            return keras.ops.mean(keras.ops.square(outputs - y))

        @jax.jit
        def step(weights, slots):
            return optimizer.stateless_apply(slots, jax.grad(loss)(weights), weights)

        weights = [variable.value for variable in model.trainable_variables]
        slots = [variable.value for variable in optimizer.variables]
        for _ in range(2):
            weights, slots = step(weights, slots)
        for variable, value in zip(model.trainable_variables, weights):
            variable.assign(value)
        model.predict(x, verbose=0)
"""


def test_what_is_called_behind_a_program_runs_with_what_that_has_trained(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that a jitted loop has made are no other weights to begin with."""
    if keras.backend.backend() != "jax":
        pytest.skip("programs of other backends hand nothing over")
    suite.makepyfile(IN_A_PROGRAM)
    told = []
    for rate, *arguments in (("0.1", "--update-goldens"), ("0.1",), ("0.11",)):
        monkeypatch.setenv("RATE", rate)
        told.append(judged(suite, "--golden-auto", *arguments))
    assert [test["outcome"] for test in told] == ["recorded", "passed", "failed"]
    verdicts = {tensor["name"]: tensor["verdict"] for tensor in told[2]["tensors"]}
    assert "incomparable" not in verdicts.values()
    assert verdicts["sequential"] == "drift"
    assert "schedule:SGD" in told[2]["local_drift"]
