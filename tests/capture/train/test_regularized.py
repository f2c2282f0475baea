"""What layers add to the loss is as without the plugin, whatever runs again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from backends import TRAINING
from suites import environment

pytestmark = [pytest.mark.processes, pytest.mark.slow]

SUITE = '''
import keras
import numpy as np
from pathlib import Path

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
Y = np.ones((4, 2), "float32")
LAZY = keras.backend.backend() == "tensorflow"
"""Its compiled steps leave symbolic tensors behind, with or without the plugin."""


def told(what, said):
    with Path("said.txt").open("a") as file:
        file.write(f"{what}: {said}\\n")


def losses(model):
    return [(str(loss.dtype), float(loss)) for loss in model.losses]


def regularized():
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input((3,)),
        keras.layers.Dense(2, activity_regularizer="l2", kernel_regularizer="l1"),
        keras.layers.ActivityRegularization(l1=0.1),
    ])


def test_called():
    model = regularized()
    for times in range(3):
        model(X)
        told("called", losses(model))


def test_trained():
    model = regularized()
    model.compile("sgd", "mse")
    for method in (model.evaluate, model.fit, model.train_on_batch, model.fit):
        batch = {} if method == model.train_on_batch else {"verbose": 0}
        returned = method(X, Y, **batch)
        told(method.__name__, getattr(returned, "history", returned))
        if not LAZY:
            told("left", losses(model))
    told("override", getattr(model, "_losses_override", None))
    model.predict(X, verbose=0)
    model(X)
    told("called", losses(model))
'''


@pytest.mark.parametrize("backend", TRAINING)
def test_added_losses_are_the_tests_own(tmp_path: Path, backend: str) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")
    plain = _said(tmp_path, backend, "-p", "no:keras_golden")
    assert len(plain.splitlines()) == (9 if backend == "tensorflow" else 13)
    goldens = ("--golden-auto", "--goldens-dir=goldens")
    assert _said(tmp_path, backend, *goldens, "--update-goldens") == plain
    assert _said(tmp_path, backend, *goldens) == plain


def _said(folder: Path, backend: str, *options: str) -> str:
    said = folder / "said.txt"
    said.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", *options]
    env = environment(KERAS_BACKEND=backend, CI="")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout
    return said.read_text()
