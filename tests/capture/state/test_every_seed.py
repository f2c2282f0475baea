"""Seeds: every generator, and TensorFlow's when it comes."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from pytest_keras_golden.capture.state.seeds import seed_everything
from pytest_keras_golden.capture.state.variables import unchanged

LATE = """
import importlib.util, sys
from pytest_keras_golden.capture.state.seeds import seed_everything
from pytest_keras_golden.capture.state.variables import unchanged

seed_everything(3)
with unchanged(()):
    seed_everything(4)
assert "tensorflow" not in sys.modules
assert importlib.util.find_spec("tensorflow") is not None
import tensorflow as tf
late = tf.random.uniform([4]).numpy().tolist()
tf.random.set_seed(3)
assert late == tf.random.uniform([4]).numpy().tolist()
seed_everything(3)
assert late == tf.random.uniform([4]).numpy().tolist()
assert not [finder for finder in sys.meta_path if "golden" in type(finder).__module__]
import keras
keras.utils.set_random_seed(3)
assert late == tf.random.uniform([4]).numpy().tolist()
"""


def test_python_numpy_and_keras_start_from_the_seed() -> None:
    import keras

    def drawn(seed: int) -> list[float]:
        seed_everything(seed)
        return [random.random(), np.random.random(), float(keras.random.uniform(()))]

    assert drawn(1) == drawn(1)
    assert all(a != b for a, b in zip(drawn(1), drawn(2), strict=True))
    first = drawn(1)
    with unchanged(()):
        drawn(2)
    assert random.random() != first[0]


@pytest.mark.tensorflow
@pytest.mark.parametrize("backend", ["jax", "numpy"])
def test_tensorflow_is_seeded_when_it_is_imported(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    subprocess.run([sys.executable, "-c", LATE], check=True)
