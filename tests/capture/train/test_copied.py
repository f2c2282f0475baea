"""Weights that training made, in another model than the one that was trained."""

from __future__ import annotations

import pytest
from backends import TRAINING
from trainings import outcomes

pytestmark = pytest.mark.processes

SUITE = """
import os
import keras
import numpy as np

CHANGED = bool(os.environ.get("CHANGE"))
rng = np.random.default_rng(0)
X = rng.normal(size=(16, 6)).astype("float32")
Y = rng.normal(size=(16, 6)).astype("float32")


def model(seed=1):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(6, name="only")])


def train(made):
    made.compile(keras.optimizers.SGD(0.0101 if CHANGED else 0.01), "mse")
    made.fit(X, Y, batch_size=8, shuffle=False, verbose=0)


def test_copied():
    made = model()
    train(made)
    copy = keras.models.clone_model(made)
    copy.set_weights(made.get_weights())
    copy.predict(X, verbose=0)


def test_shared():
    made = model()
    train(made)
    whole = keras.Sequential([keras.Input((6,)), made, keras.layers.Activation("tanh")])
    whole(X)


def test_another():
    train(model())
    model(2 if CHANGED else 1)(X)
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_what_another_model_has_of_it_moved_as_the_training_did(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(test_models=SUITE)
    recorded = outcomes(suite, "--update-goldens")
    assert {test["outcome"] for test in recorded.values()} == {"recorded"}
    assert {test["outcome"] for test in outcomes(suite).values()} == {"passed"}
    monkeypatch.setenv("CHANGE", "1")
    changed = outcomes(suite)
    assert {test["outcome"] for test in changed.values()} == {"failed"}
    # Weights of their own, which nothing that was recorded explains, are not compared.
    incomparable = {name for name, test in changed.items() if "incomparable" in verdicts(test)}
    assert incomparable == {"test_another"}
    for name in ("test_copied", "test_shared"):
        assert changed[name]["local_drift"] == ["schedule:SGD"]
        assert "drift" in verdicts(changed[name]), changed[name]["tensors"]


def verdicts(test: dict[str, object]) -> set[str]:
    """Of what models returned behind the training."""
    tensors: list[dict[str, str]] = test["tensors"]  # type: ignore[assignment]
    trained = ("step_", "weights/", "curve/")
    return {t["verdict"] for t in tensors if not t["name"].startswith(trained)}
