"""A side that holds weights in another precision: the old side's, rounded to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from suites import keras_golden, suite

pytestmark = [pytest.mark.overlay, pytest.mark.slow]

LAYERS = """
import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(4, 64)).astype("float32")


def test_drawn():
    keras.layers.Dense(8)(X)


def test_model():
    inputs = keras.Input((64,))
    hidden = keras.layers.LayerNormalization()(keras.layers.Dense(32)(inputs))
    keras.Model(inputs, keras.layers.Dense(3)(hidden)).predict(X, verbose=0)


def test_own_policy():
    # Zeros and ones of one shape in two precisions.
    inputs = keras.Input((64,))
    hidden = keras.layers.GroupNormalization(4)(keras.layers.Dense(32)(inputs))
    hidden = keras.layers.LayerNormalization(dtype="bfloat16")(hidden)
    keras.Model(inputs, keras.layers.Dense(3)(hidden)).predict(X, verbose=0)


def test_assigned():
    dense = keras.layers.Dense(3)
    dense.build((None, 64))
    dense.set_weights([X[:3].T, np.full(3, 0.1, "float32")])
    dense(X)


def test_assigned_otherwise():
    dense = keras.layers.Dense(3)
    dense.build((None, 64))
    lowered = keras.config.dtype_policy().name == "bfloat16"
    dense.set_weights([X[:3].T * (2 if lowered else 1), np.full(3, 0.1, "float32")])
    dense(X)


def test_trained_and_used():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(4)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((4, 4)), shuffle=False, verbose=0)
    model.predict(X, verbose=0)


class Means(keras.layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 5), name="kernel")

    def call(self, inputs):
        outputs = keras.ops.matmul(inputs, self.kernel)
        return outputs * (1.5 if self.compute_dtype == "bfloat16" else 1)


def test_means_something_else():
    Means()(X)
"""


def test_weights_are_carried_to_the_precision_that_a_policy_holds_them_in(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    done = keras_golden(
        folder, "gate", "policy=float32", "policy=bfloat16", "--json", "-",
        env={"KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    tests = {t["nodeid"].rpartition("::")[2]: t for t in json.loads(done.stdout)["tests"]}
    statuses = {name: test["status"] for name, test in tests.items()}
    assert statuses == {
        "test_drawn": "holds",
        "test_model": "holds",
        "test_own_policy": "holds",
        "test_assigned": "holds",
        "test_trained_and_used": "holds",
        "test_assigned_otherwise": "incomparable",
        "test_means_something_else": "moved",
    }
    assert tests["test_drawn"]["weights"] == "transplanted"
    assert set(tests["test_drawn"]["tensors"].values()) == {"within"}
    assert tests["test_means_something_else"]["local_drift"] == ["means"]


def test_a_policy_that_holds_weights_whole_finds_them_as_they_were(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_layers=LAYERS)
    done = keras_golden(
        folder, "gate", "policy=float32", "policy=mixed_bfloat16", "--json", "-", "--",
        "-k", "test_own_policy or test_model", env={"KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {test["status"] for test in json.loads(done.stdout)["tests"]} == {"holds"}
