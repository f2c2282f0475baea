"""A loss that changed less than predictions round: found on the golden's own predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.losses.losses import LossFunctionWrapper

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.replay.losses import (
    GRADIENT,
    ToldPart,
    alone,
    given_to,
    is_replayed,
)
from pytest_keras_golden.capture.state.masks import carrying

SUITE = """
    import os
    import keras
    import numpy as np

    KIND = keras.losses.MeanSquaredError
    plain = KIND.call

    def changed(self, *args):
        return plain(self, *args) * float(os.environ["FACTOR"])

    KIND.call = changed if os.environ["FACTOR"] != "1" else plain
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)

    def test_fit(golden_tensors):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=POLICY)])
        x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
        model.compile("sgd", KIND())
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
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras has no fit on numpy")

    def run(*arguments: str, **variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        suite.runpytest_inprocess("--golden-log=log.json", *arguments)
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        return dict(test)

    return run


def test_it_is_found_where_predictions_hide_it(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(SUITE)
    assert run("--update-goldens", FACTOR="1", POLICY="mixed_bfloat16")["outcome"] == "recorded"
    assert run(FACTOR="1")["outcome"] == "passed"
    test = run(FACTOR="1.005")
    assert test["outcome"] == "failed"
    (local,) = (local for local in test["locals"] if local["verdict"] == "drift")
    assert local["name"] == "loss:mean_squared_error"
    assert local["rel_l2"] == pytest.approx(0.005, rel=0.01)
    before, after = (float(word.strip(",")) for word in local["note"].split() if _is_number(word))
    assert before / after == pytest.approx(1.005, rel=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_masks_and_weights_come_along(weighted: bool) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rng = np.random.default_rng(0)
    y_true, mask = rng.integers(0, 3, (2, 4)), np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    y_pred = carrying(keras.ops.convert_to_tensor(rng.normal(size=(2, 4, 3)), "bfloat16"), mask)
    weights = [rng.random((2, 4)).astype("float32")] if weighted else []
    given = given_to((y_true, y_pred, *weights), {})
    assert is_replayed(loss, given, asked=False)
    kept = {name: to_numpy(tensor) for name, tensor in given.items()}
    assert kept.keys() == {"y_true", "y_pred", "mask", *(["sample_weight"] if weighted else [])}
    whole = alone(loss, kept, 64)
    assert whole[""] == to_numpy(loss(y_true, carrying(y_pred, mask), *weights))
    assert whole[""] != alone(loss, {name: kept[name] for name in kept if name != "mask"}, 64)[""]
    assert alone(loss, {"y_pred": kept["y_pred"]}, 64) == {}
    if keras.backend.backend() != "numpy":
        assert not whole["gradient"][~mask].any()
        assert whole["gradient"][mask].any()


def test_only_code_of_keras_runs_again_unasked() -> None:
    arguments = {"y_true": np.ones(2), "y_pred": np.ones(2)}

    def mine(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred, -1)

    class Mine(keras.losses.MeanSquaredError):
        pass

    for loss in (Mine(), LossFunctionWrapper(mine)):
        assert not is_replayed(loss, arguments, asked=False)
        assert is_replayed(loss, arguments, asked=True)


TWICE = """
    import keras
    import numpy as np

    def test_fits():
        inputs = keras.Input((4,))
        outputs = [keras.layers.Dense(2, name=name)(inputs) for name in ("one", "two")]
        x, y, z = np.ones((8, 4)), np.zeros((8, 2)), np.full((8, 2), 0.5)
        for weights in ([0.1, 0.2], [0.2, 0.1]):
            model = keras.Model(inputs, outputs)
            for number, weight in enumerate(model.weights):
                weight.assign(keras.ops.full(weight.shape, 0.1 * (number + 1)))
            model.compile("sgd", ["mse", "mse"], loss_weights=weights)
            model.fit(x, [y, z], batch_size=4, shuffle=False, verbose=0)
"""


def test_one_loss_twice_in_a_step_and_trained_twice(suite: pytest.Pytester, run: Run) -> None:
    """Both count names: what one makes was kept as what the other made."""
    suite.makepyfile(TWICE)
    for _ in range(2):
        test = run("--golden-auto", "--update-goldens")
        assert test["outcome"] in ("recorded", "passed"), test["locals"]


_STEPS = st.sampled_from(["step_000", "test_step_001"])
_TOLD = st.builds(
    ToldPart, _STEPS, st.sampled_from(["mse", "mse@1", "mse@2"]), st.sampled_from(["", "@1", "@2"])
)


@given(st.lists(_TOLD, unique=True), st.sampled_from(["", GRADIENT]))
def test_each_has_a_name_of_its_own(parts: list[ToldPart], what: str) -> None:
    assert len({told.alone(what) for told in parts}) == len(parts)


def _is_number(word: str) -> bool:
    try:
        float(word.strip(",:"))
    except ValueError:
        return False
    return "." in word


def test_it_is_found_beside_a_layer_that_changed(suite: pytest.Pytester, run: Run) -> None:
    scaled = ", dtype=POLICY), keras.layers.Rescaling(float(os.environ['LAYER']), name='scaled')"
    suite.makepyfile(SUITE.replace(", dtype=POLICY)", scaled))
    assert run("--update-goldens", FACTOR="1", LAYER="1", POLICY="float32")["outcome"] == "recorded"
    test = run(FACTOR="1.005", LAYER="1.01")
    blamed = {local["name"] for local in test["locals"] if local["verdict"] == "drift"}
    assert blamed == {"scaled", "loss:mean_squared_error"}


def test_a_loss_of_the_users_own_runs_as_often_as_without(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(COUNTS)
    calls = suite.path / "calls"
    suite.runpytest_inprocess("-p", "no:keras_golden")
    without = calls.read_text()
    assert run("--golden-auto", "--update-goldens")["outcome"] == "recorded"
    assert calls.read_text() == without
    assert run("--golden-auto")["outcome"] == "passed"
    assert calls.read_text() == without


def test_a_loss_that_cannot_be_run_by_itself_is_left_alone() -> None:
    def mine(y_true: Any, y_pred: Any) -> Any:
        raise RuntimeError("only inside of a step")

    loss = LossFunctionWrapper(mine)
    assert alone(loss, {"y_true": np.ones(2, "f4"), "y_pred": np.ones(2, "f4")}, 64) == {}


def test_what_is_kept_are_the_predictions(suite: pytest.Pytester, run: Run) -> None:
    from pytest_keras_golden.store.codec import Golden

    suite.makepyfile(SUITE)
    path = run("--update-goldens", FACTOR="1", POLICY="mixed_bfloat16")["golden"]
    with Golden.open(path) as golden:
        given = {
            name: golden.array(f"step_000/given/mean_squared_error/{name}").astype(np.float32)
            for name in ("y_true", "y_pred")
        }
        alone = float(golden.array("step_000/alone/mean_squared_error"))
        names = {tensor.name for tensor in golden.header.tensors}
    assert given["y_pred"].shape == (4, 3)
    assert "step_000/alone/mean_squared_error/gradient" in names
    assert alone == pytest.approx(np.mean((given["y_true"] - given["y_pred"]) ** 2), rel=1e-6)
