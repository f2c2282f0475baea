"""Components of a step by themselves: what one changes is found however little it is, and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from preloaded import judged, runpytest

from pytest_keras_golden.store.codec import Golden

SUITE = """
    import os
    import keras
    import numpy as np

    FACTOR = float(os.environ["FACTOR"])

    @keras.ops.custom_gradient
    def sending_back_more(x):
        def grad(*args, upstream=None):
            return (args[0] if upstream is None else upstream) * FACTOR

        return x, grad

    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return sending_back_more(inputs) * 2

    RUNNING = []

    class Fitting(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            RUNNING.clear()

    class Own(keras.losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            if os.environ["ALONE"] == "no" and not RUNNING:
                raise RuntimeError("what it needs is made by the callback")
            return super().call(y_true, y_pred)

    def test_fit(golden_tensors):
        keras.utils.set_random_seed(0)
        rng = np.random.default_rng(0)
        layers = [keras.layers.Dense(5, name="first"), Twice(name="sender")]
        model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3, name="last")])
        decay = float(os.environ["DECAY"])
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=decay)
        loss, metric = Own(name="mean_squared_error"), keras.metrics.MeanAbsoluteError()
        model.compile(optimizer, loss, metrics=[metric])
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="training"):
            x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
            RUNNING.append(True)
            model.fit(x, y, batch_size=4, callbacks=[Fitting()], verbose=0)

    keras.config.set_dtype_policy(os.environ["POLICY"])
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite in a process of its own; the log of its one test."""
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras has no fit on numpy")
    suite.makepyfile(SUITE)

    def run(
        *arguments: str, factor: float = 1.0, decay: float = 0.004, alone: str = "yes"
    ) -> dict[str, Any]:
        monkeypatch.setenv("POLICY", "mixed_bfloat16")
        monkeypatch.setenv("ALONE", alone)
        monkeypatch.setenv("FACTOR", str(factor))
        monkeypatch.setenv("DECAY", str(decay))
        return judged(suite, *arguments)

    return run


def blamed(test: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name."""
    return {
        local["name"]: local for local in test["locals"] if local["name"] in test["local_drift"]
    }


def test_a_layer_that_sends_back_one_rounding_more(run: Run) -> None:
    assert run("--update-goldens")["outcome"] == "recorded"
    assert run()["outcome"] == "passed"
    test = run(factor=1.005)
    assert test["outcome"] == "failed"
    (local,) = blamed(test).values()
    assert local["name"] == "backward:sender"
    assert local["cause"] == "meaning"
    assert local["twin"]["precision"] == "float64"
    # Of what did not change nothing is said.
    assert not any(one["note"] for one in test["locals"] if one["verdict"] == "identical")
    assert "the gradient of input 0 differs" in local["note"]


def test_an_optimizer_whose_change_every_update_hides(run: Run) -> None:
    assert run("--update-goldens")["outcome"] == "recorded"
    test = run(decay=0.0045)
    assert test["outcome"] == "failed"
    (local,) = blamed(test).values()
    assert local["name"] == "optimizer:AdamW"
    assert local["cause"] == "meaning"
    assert local["note"].startswith("by itself, on gradients and weights of its own")


def test_what_cannot_be_run_by_itself_is_named(run: Run) -> None:
    assert run("--update-goldens")["outcome"] == "recorded"
    said = "not run by itself: loss:mean_squared_error; of a step that moved"
    assert not any(line.startswith("not run") for line in run(factor=1.005)["warnings"])
    test = run(factor=1.005, alone="no")
    assert test["outcome"] == "failed"
    assert [line for line in test["warnings"] if line.startswith(said)]


def test_a_candidate_can_be_asked_the_same(run: Run, suite: pytest.Pytester) -> None:
    run("--update-goldens")
    test = run(factor=1.1)
    with Golden.open(suite.path / test["candidate"]) as candidate:
        names = {tensor.name for tensor in candidate.header.tensors}
        layers = {call.name: call for call in candidate.header.calls}
    assert {"step_000/optimizer/updates/kernel", "step_000/alone/mean_squared_error"} <= names
    assert "step_000/alone/metrics/mean_absolute_error" in names
    assert layers["first"].outputs


KINK = """
    import os
    import keras
    import numpy as np

    class Nearly(keras.layers.Layer):
        def call(self, inputs):
            return inputs + float(os.environ["TINY"])

    def test_fit(golden_tensors):
        keras.utils.set_random_seed(0)
        rng = np.random.default_rng(0)
        layers = [keras.layers.Dense(5, name="first"), Nearly(name="nearly")]
        layers += [keras.layers.ReLU(name="kink"), keras.layers.Dense(3, name="last")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("sgd", keras.losses.MeanSquaredError())
        # Of a row of zeros the first layer makes zeros: what is added decides what comes back.
        x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
        x[3] = 0.0
        with golden_tensors.capture(model, select="training"):
            model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
"""


def test_rounding_next_to_a_kink_is_carried_backwards(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras has no fit on numpy")
    suite.makepyfile(KINK)
    monkeypatch.setenv("TINY", "1e-9")
    runpytest(suite, "--update-goldens")
    monkeypatch.setenv("TINY", "-1e-9")
    test = judged(suite)
    moved = {t["name"]: t for t in test["tensors"] if t["verdict"] not in ("identical", "within")}
    assert {tensor["verdict"] for tensor in moved.values()} == {"accumulated"}
    assert moved["step_000/gradients/first/bias"]["rel_l2"] > 0.05
    assert (test["outcome"], test["local_drift"]) == ("passed", [])


TWICE = """
    import os
    import keras
    import numpy as np

    def trained(rate, loss):
        layers = [keras.layers.Dense(5, name="first"), keras.layers.Dense(1, name="last")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(rate), loss)
        x = np.random.default_rng(0).normal(size=(8, 4))
        model.fit(x, x[:, :1], batch_size=4, shuffle=False, verbose=0)

    def test_fit():
        trained(0.01, keras.losses.MeanSquaredError(name="loss"))
        trained(0.02, keras.losses.Huber(name="other"))
        trained(0.001, keras.losses.MeanSquaredError(os.environ["REDUCTION"], name="loss"))
"""


def test_each_training_of_a_test_is_compared_with_itself(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last changes: nothing is run by itself for those whose names it shares."""
    if keras.backend.backend() == "numpy":
        pytest.skip("Keras has no fit on numpy")
    suite.makepyfile(TWICE)
    monkeypatch.setenv("REDUCTION", "sum")
    runpytest(suite, "--golden-auto", "--update-goldens")
    monkeypatch.setenv("REDUCTION", "mean")
    test = judged(suite, "--golden-auto")
    assert (test["outcome"], test["local_drift"]) == ("failed", ["loss:loss"])
    assert not [line for line in test["warnings"] if line.startswith("not run by itself")]
