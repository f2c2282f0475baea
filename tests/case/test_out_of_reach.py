"""Layers that no attribute of a model leads to: their weights and their state count as well."""

from __future__ import annotations

import json
from typing import Any

import pytest

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest

    SEED, SCALE = int(os.environ.get("SEED", "0")), float(os.environ.get("SCALE", "1"))
    X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")

    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            start = keras.initializers.RandomUniform(seed=SEED)
            self.inner = keras.layers.Dense(3, kernel_initializer=start)
            self.scale = keras.layers.Rescaling(SCALE)
            self.drop = keras.layers.Dropout(0.5, seed=1)

        def call(self, x):
            return self.drop(self.scale(self.inner(x)), training=True)

    class Helper:
        def __init__(self):
            self.block = Block()

    class Of(keras.Model):
        def __init__(self, get):
            super().__init__()
            self.get = get

        def call(self, x):
            return self.get()(x)

    def closure():
        block = Block()
        return lambda: block

    def of_an_object():
        helper = Helper()
        return lambda: helper.block

    def of_a_set():
        held = {Block()}
        return lambda: next(iter(held))

    @pytest.mark.parametrize("hidden", [closure, of_an_object, of_a_set])
    def test_hidden(hidden):
        model = Of(hidden())
        model(X)
        model(X)
"""


@pytest.fixture
def recorded(suite: pytest.Pytester) -> pytest.Pytester:
    suite.makepyfile(SUITE)
    suite.makeini("[pytest]\ngolden_auto = true\ngolden_select = all\n")
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=3)
    suite.runpytest_inprocess().assert_outcomes(passed=3)
    return suite


def failed(suite: pytest.Pytester) -> list[dict[str, Any]]:
    suite.runpytest_inprocess("--golden-log=log.json").assert_outcomes(failed=3)
    tests: list[dict[str, Any]] = json.loads((suite.path / "log.json").read_text())["tests"]
    return tests


def test_other_weights_of_a_hidden_layer_are_no_drift_of_it(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEED", "5")
    for test in failed(recorded):
        assert (test["weights"], test["local_drift"]) == ("differ", [])
        assert {t["verdict"] for t in test["tensors"]} == {"incomparable"}
        assert "weights differ, first at of/block#0/inner/kernel" in test["isolation"]


def test_a_hidden_layer_that_draws_is_isolated(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE", "1.5")
    for test in failed(recorded):
        assert test["isolation"] == "complete"
        assert test["local_drift"] == ["of/block#0/scale", "of/block#0/scale@1"]
