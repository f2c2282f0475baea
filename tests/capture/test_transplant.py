"""Weights and inputs carried over by structural name, on jax."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = """
import sys
from pathlib import Path
import keras
import numpy as np
from keras import layers
from pytest_keras_golden.capture.transplant import transplanting

file = Path(sys.argv[1])
rng = np.random.default_rng
X = rng(0).normal(size=(2, 8)).astype("float32")

def out(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))

def between(make, call=lambda model: model(X)):
    keras.utils.set_random_seed(1)
    with transplanting("save", file):
        first = out(call(make()))
    keras.utils.set_random_seed(2)
    with transplanting("load", file) as transplant:
        second = out(call(make()))
    return first, second, transplant.changed

def same(*arguments):
    first, second, changed = between(*arguments)
    np.testing.assert_array_equal(first, second)
    assert changed
"""


def python(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SETUP + code, str(tmp_path / "kept" / "a.file")],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    "code",
    {
        "a lazily built layer": "same(lambda: layers.Dense(3))",
        "a functional model, built before": """
def make():
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(5, name="hidden")(inputs)))
same(make)
""",
        "a lazily built subclass": """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4), layers.Dense(3)
    def call(self, x):
        return self.second(self.first(x))
same(Net)
""",
        "bfloat16 weights": "same(lambda: layers.Dense(3, dtype='bfloat16'))",
        "dropout draws the same": """
def make():
    return keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dropout(0.5)])
same(make, lambda model: model(X, training=True))
""",
        "predict": """
def make():
    return keras.Sequential([keras.Input((8,)), layers.Dense(3)])
same(make, lambda model: model.predict(X, verbose=0))
""",
        "inputs from another generator": """
same(lambda: layers.Rescaling(2.0), lambda layer: layer(keras.random.normal((3, 2))))
""",
        "two roots of one class": """
def call(pair):
    return pair[1](pair[0](X))
same(lambda: (layers.Dense(8), layers.Dense(8)), call)
""",
    }.items(),
    ids=lambda case: case[0],
)
def test_the_second_run_computes_what_the_first_did(tmp_path: Path, code: tuple[str, str]) -> None:
    python(code[1], tmp_path)


def test_only_the_first_call_of_a_root_is_given_weights(tmp_path: Path) -> None:
    """A test that trains must keep what it trained."""
    code = """
def call(layer):
    layer(X)
    layer.kernel.assign(layer.kernel * 0 + 1)
    return layer(X)
first, second, _ = between(lambda: layers.Dense(3), call)
np.testing.assert_allclose(second, np.repeat(X.sum(-1, keepdims=True), 3, -1), rtol=1e-5)
"""
    python(code, tmp_path)


def test_other_shapes_stay_as_they_are(tmp_path: Path) -> None:
    code = """
with transplanting("save", file):
    layers.Dense(3)(X)
with transplanting("load", file) as transplant:
    layer = layers.Dense(5)
    assert layer(X).shape == (2, 5)
    assert layer(X[:1]).shape == (1, 5)
assert not transplant.changed
"""
    python(code, tmp_path)


def test_building_ahead_moves_no_random_state(tmp_path: Path) -> None:
    code = """
import random
keras.utils.set_random_seed(7)
state = random.getstate(), np.random.get_state()[2]
with transplanting("save", file):
    layers.Dense(3, kernel_initializer="zeros")(X)
assert (random.getstate(), np.random.get_state()[2]) == state
"""
    python(code, tmp_path)
