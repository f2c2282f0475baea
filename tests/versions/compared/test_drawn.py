"""A generator that makes other numbers of the same seeds: told as that, and hiding nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from suites import as_json, keras_golden, suite

pytestmark = [pytest.mark.any_backend, pytest.mark.processes]

DRAWING = """
import os
import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")


class Scaled(keras.layers.Dense):
    def call(self, inputs):
        return super().call(inputs) * float(os.environ.get("SCALE", "1"))


def test_layers():
    for layer in (keras.layers.Dropout(0.3, seed=1), keras.layers.LSTM(5, recurrent_dropout=0.3)):
        layer(X.reshape(2, 6, 6), training=True)


def test_fit():
    layers = [keras.Input((6,)), Scaled(16), keras.layers.Dropout(0.4), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, np.arange(12) % 3, batch_size=4, epochs=2, shuffle=False, verbose=0)


class Noise(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, inputs):
        return inputs + keras.random.normal((6,), seed=self.seed)


def test_own():
    keras.Sequential([keras.Input((6,)), Noise(), keras.layers.Dense(3)])(X)


def test_dense():
    keras.layers.Dense(3)(X)
"""
OLD, NEW = (f"env.JAX_THREEFRY_PARTITIONABLE={switch}" for switch in "01")


@pytest.mark.parametrize("scale", ["1", pytest.param("1.01", marks=pytest.mark.slow)])
def test_a_generator_that_makes_other_numbers_hides_nothing_else(
    tmp_path: Path, scale: str
) -> None:
    """As jax 0.5 did. The rest is looked at with numbers from one stream on both sides."""
    folder = suite(tmp_path / "suite", test_draws=DRAWING)
    sides = f"{OLD},env.SCALE=1", f"{NEW},env.SCALE={scale}"
    done = keras_golden(folder, "gate", *sides, "--no-culprit", "--json", "gate.json")
    assert done.returncode == 1, done.stderr
    told = json.loads((folder / "gate.json").read_text())
    tests = {test["nodeid"].rpartition("::")[2]: test for test in told["tests"]}
    statuses = {name: test["status"] for name, test in tests.items()}
    fit = "incomparable" if scale == "1" else "moved"
    same = {"test_layers": "incomparable", "test_own": "incomparable", "test_dense": "holds"}
    assert statuses == {**same, "test_fit": fit}
    (own,) = tests["test_own"]["locals"][:1]
    assert (own["name"].partition("#")[0], own["cause"]) == ("sequential/noise", "random")
    function = "random:keras.random.dropout"
    assert tests["test_layers"]["local_drift"] == ["dropout", "lstm", function]
    assert "in place of theirs, 2 tensors hold" in tests["test_layers"]["reason"]
    assert "keras.random.dropout" in done.stdout
    if scale == "1":
        assert tests["test_fit"]["local_drift"][-1] == function
        layers = [f"--layer={name}" for test in tests.values() for name in test["local_drift"]]
        keras_golden(folder, "accept-drift", "gate.json", *layers, "--reason", "jax 0.5")
        again = keras_golden(folder, "gate", *sides, "--json", "-")
        assert again.returncode == 0, again.stdout
        assert as_json(again)["verdict"] == "holds"
    else:
        # Its first batch is made again layer by layer: no other run is needed to find the change.
        scaled, dropout = tests["test_fit"]["locals"][:2]
        assert (scaled["name"].partition("#")[0], scaled["verdict"]) == (
            "sequential/scaled",
            "drift",
        )
        assert (dropout["name"], dropout["cause"]) == ("sequential/dropout#0", "random")
        assert tests["test_fit"]["local_drift"] == [scaled["name"], dropout["name"]]
        # Who accepts a layer's change has accepted no other numbers.
        layers = [f"--layer={name}" for name in tests["test_fit"]["local_drift"][:-1]]
        keras_golden(folder, "accept-drift", "gate.json", *layers, "--reason", "a new scale")
        again = as_json(keras_golden(folder, "gate", *sides, "--json", "-", "--", "-k", "fit"))
        assert [test["status"] for test in again["tests"]] == ["moved"]
