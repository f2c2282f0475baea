"""Files of Keras 2 under both: a real gate of `tf_keras` against this Keras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from suites import as_json, keras_golden, suite

from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

pytestmark = [
    pytest.mark.overlay,
    pytest.mark.tensorflow,
    pytest.mark.any_backend,
    pytest.mark.processes,
]

OLD = "tf_keras==2.21.0"
WRITING = """
import numpy as np
import tf_keras

layers = tf_keras.layers

def written(name, last):
    model = tf_keras.Sequential([
        tf_keras.Input((6,)),
        layers.Dense(8, activation="relu", name="first"),
        layers.BatchNormalization(name="norm"),
        layers.Dense(4, activation=last, name="last"),
    ])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.uniform(0.2, 1.0, weight.shape).astype("float32"))
    model.save(name)

series = tf_keras.Input((5, 8))
attended = layers.MultiHeadAttention(2, 4, name="attention")(series, series)
tf_keras.Model(series, attended).save("attention.h5")
written("soft.h5", "softmax")
written("hard.h5", "hard_sigmoid")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = suite(tmp_path_factory.mktemp("files"))
    environment = {**os.environ, **overlay_environment([ensure_overlay("tf_keras", "2.21.0")])}
    command = [sys.executable, "-W", "ignore", "-c", WRITING]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder


def test_what_agrees_and_what_differs_is_told_by_layer(files: Path) -> None:
    installed = _installed()
    done = keras_golden(
        files,
        *("gate", OLD, f"keras=={installed}", "--no-culprit", "--json", "-", "--"),
        *("soft.h5", "hard.h5"),
        env={"KERAS_BACKEND": "numpy"},
    )
    assert done.returncode == 1, done.stderr
    found = as_json(done)
    assert found["old"] == {"keras": "tf_keras 2.21.0", "backend": "tensorflow"}
    assert found["new"] == {"keras": installed, "backend": "numpy"}
    rows = {row["nodeid"]: row for row in found["tests"]}
    assert rows["soft.h5::model"]["status"] == "holds"
    assert rows["soft.h5::model"]["unseen"] == []
    hard = rows["hard.h5::model"]
    assert {name.partition("/")[2] for name in hard["local_drift"]} == {"last"}
    assert {layer["cause"] for layer in hard["locals"] if layer["name"] in hard["local_drift"]} == {
        "meaning"
    }
    assert "loading" not in hard["tensors"].values()


def test_attention_is_refused_by_its_loader_in_one_sentence(files: Path) -> None:
    """What Keras 2 wrote of it, Keras 3 takes in no release."""
    done = keras_golden(
        files,
        *("gate", OLD, "latest", "--no-culprit", "--json", "-", "--", "attention.h5"),
        env={"KERAS_BACKEND": "numpy"},
    )
    assert done.returncode == 1, done.stderr
    (row,) = as_json(done)["tests"]
    assert row["status"] == "broke"
    assert row["reason"].startswith("attention.h5 does not load under Keras 3")
    assert "keyword arguments passed to MultiHeadAttention: {'query_shape'" in row["reason"]


def test_a_matrix_has_a_column_of_it(files: Path) -> None:
    done = keras_golden(
        files,
        *("matrix", OLD, _installed(), "--", "hard.h5"),
        env={"KERAS_BACKEND": "numpy"},
    )
    assert done.returncode == 1, done.stderr
    assert f"{_installed()}: since here local drift in ordinary/last" in done.stdout
    assert f"\n{OLD} … {_installed()}: DRIFT" in done.stdout


def test_a_suite_is_refused(files: Path) -> None:
    (files / "test_own.py").write_text("def test_own(): pass\n")
    done = keras_golden(files, "gate", OLD, f"keras=={_installed()}", "--", "test_own.py")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "for saved models only, and test_own.py::test_own is none" in said


def _installed() -> str:
    import keras

    return str(keras.__version__)
