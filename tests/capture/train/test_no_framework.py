"""Recording training imports no framework that the test does not: TensorFlow takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from suites import environment, suite

TRAINED = """
import sys

import keras
import numpy as np
import pytest

RATE = keras.optimizers.schedules.CosineDecay(0.1, 10)
OPTIMIZERS = {
    "plain": lambda: "adam",
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(RATE)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fit(optimizer):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    metrics = [keras.metrics.MeanMetricWrapper(keras.losses.categorical_crossentropy)]
    model.compile(OPTIMIZERS[optimizer](), "categorical_crossentropy", metrics=metrics)
    model.fit(np.ones((8, 4)), np.eye(8, 3), batch_size=4, verbose=0)
    assert "tensorflow" not in sys.modules
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "options",
    [("-p", "no:keras_golden"), ("--golden-auto", "--update-goldens")],
    ids=["plain", "recorded"],
)
def test_no_tensorflow_comes_in(options: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options]
    folder = suite(tmp_path, test_training=TRAINED)
    if "no:keras_golden" in options:
        (folder / "pytest.ini").unlink()
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout
