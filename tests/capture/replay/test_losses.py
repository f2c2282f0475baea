"""A loss that changed less than predictions round: found on the golden's own predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SUITE = """
    import os
    import keras
    import numpy as np

    KIND = keras.losses.MeanSquaredError if os.environ["MASKED"] == "no" else (
        keras.losses.SparseCategoricalCrossentropy
    )
    plain = KIND.call

    def changed(self, *args):
        return plain(self, *args) * float(os.environ["FACTOR"])

    KIND.call = changed if os.environ["FACTOR"] != "1" else plain
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)

    def test_fit(golden_tensors):
        if os.environ["MASKED"] == "no":
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=POLICY)])
            x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
            model.compile("sgd", KIND())
        else:
            model = keras.Sequential([
                keras.Input((6,)), keras.layers.Embedding(8, 4, mask_zero=True, dtype=POLICY),
                keras.layers.Dense(5, dtype=POLICY),
            ])
            x = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 0, 0]])
            y = rng.integers(0, 5, (2, 6))
            model.compile("sgd", KIND(from_logits=True))
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="training"):
            model.fit(x, y, batch_size=4, verbose=0)

    POLICY = os.environ["POLICY"]
"""
COUNTS = """
    import keras
    import numpy as np

    calls = []

    def mine(y_true, y_pred):
        calls.append(1)
        return keras.ops.mean(keras.ops.square(y_true - y_pred), -1)

    def test_fit():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])
        model.compile("sgd", mine, run_eagerly=True)
        model.fit(np.ones((8, 4)), np.ones((8, 3)), batch_size=4, verbose=0)
        with open("calls", "w") as file:
            file.write(str(len(calls)))
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite with these arguments and variables; the log of its one test."""

    def run(*arguments: str, **variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        suite.runpytest_inprocess("--golden-log=log.json", *arguments)
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        return dict(test)

    return run


@pytest.mark.parametrize("masked", ["no", "yes"])
def test_it_is_found_where_predictions_hide_it(
    suite: pytest.Pytester, run: Run, masked: str
) -> None:
    suite.makepyfile(SUITE)
    small = {"MASKED": masked, "POLICY": "mixed_bfloat16"}
    assert run("--update-goldens", FACTOR="1", **small)["outcome"] == "recorded"
    assert run(FACTOR="1", **small)["outcome"] == "passed"
    test = run(FACTOR="1.005", **small)
    assert test["outcome"] == "failed"
    (local,) = (local for local in test["locals"] if local["verdict"] == "drift")
    wanted = "mean_squared_error" if masked == "no" else "sparse_categorical_crossentropy"
    assert local["name"] == f"loss:{wanted}"
    assert local["rel_l2"] == pytest.approx(0.005, rel=0.01)
    before, after = (float(word.strip(",")) for word in local["note"].split() if _is_number(word))
    assert before / after == pytest.approx(1.005, rel=1e-3)


def _is_number(word: str) -> bool:
    try:
        float(word.strip(",:"))
    except ValueError:
        return False
    return "." in word


def test_in_float32_nothing_is_kept_for_it(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(SUITE)
    test = run("--update-goldens", FACTOR="1", MASKED="no", POLICY="float32")
    assert test["outcome"] == "recorded"
    names = [tensor["name"] for tensor in run(FACTOR="1")["tensors"]]
    assert any("/loss" in name for name in names)
    assert not any("/given/" in name or "/alone/" in name for name in names)


def test_a_loss_of_the_users_own_runs_as_often_as_without(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(COUNTS)
    calls = suite.path / "calls"
    suite.runpytest_inprocess("-p", "no:keras_golden")
    without = calls.read_text()
    assert run("--golden-auto", "--update-goldens")["outcome"] == "recorded"
    assert calls.read_text() == without
    assert run("--golden-auto")["outcome"] == "passed"
    assert calls.read_text() == without


def test_what_is_kept_are_the_predictions(suite: pytest.Pytester, run: Run) -> None:
    from pytest_keras_golden.store.codec import Golden

    suite.makepyfile(SUITE)
    path = run("--update-goldens", FACTOR="1", MASKED="no", POLICY="mixed_bfloat16")["golden"]
    with Golden.open(path) as golden:
        given = {
            name: golden.array(f"step_000/given/mean_squared_error/{name}").astype(np.float32)
            for name in ("y_true", "y_pred")
        }
        alone = float(golden.array("step_000/alone/mean_squared_error"))
    assert given["y_pred"].shape == (4, 3)
    assert alone == pytest.approx(np.mean((given["y_true"] - given["y_pred"]) ** 2), rel=1e-6)
