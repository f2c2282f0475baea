"""Whoever calls a layer otherwise is blamed for what that does, and not the layer."""

from __future__ import annotations

import json
from typing import Any

import keras
import pytest

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest
    from keras import layers, ops

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(0).normal(size=(4, 6, 4)).astype("float32")
    TOKENS = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])

    class Gained(layers.Layer):
        def call(self, x, shift=None, sharp=False):
            x = ops.tanh(x * 3) if sharp else x
            return x if shift is None else x + shift

    class Inner(keras.Model):
        def __init__(self):
            super().__init__()
            self.gained = Gained(name="gained")

        def call(self, x, shift=None, sharp=False, training=None):
            return self.gained(x, shift=shift, sharp=sharp)

    class Outer(keras.Model):
        def __init__(self, kind):
            super().__init__()
            self.inner, self.head = Inner(), layers.Dense(2, name="head")
            self.kind = kind

        def call(self, x, training=None):
            more = {}
            if CHANGED != (self.kind == "fewer") and self.kind in ("more", "fewer"):
                more = {"shift": ops.ones_like(x)}
            if CHANGED and self.kind == "flag":
                more = {"sharp": True}
            return self.head(self.inner(x, **more))

    @pytest.mark.parametrize("kind", ["more", "fewer", "flag"])
    def test_argument(golden_tensors, kind):
        model = Outer(kind)
        model(X)
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="all"):
            model(X)

    class Masked(keras.Model):
        def __init__(self, kind):
            super().__init__()
            masks = {"made": CHANGED, "gone": not CHANGED, "dropped": True}[kind]
            self.table = layers.Embedding(10, 4, mask_zero=masks)
            self.scale, self.gru = layers.Activation("tanh"), layers.GRU(3)
            self.kind = kind

        def call(self, tokens):
            x = self.scale(self.table(tokens))
            return self.gru(ops.multiply(x, 1.0) if CHANGED and self.kind == "dropped" else x)

    @pytest.mark.parametrize("kind", ["made", "gone", "dropped"])
    def test_mask(golden_tensors, kind):
        model = Masked(kind)
        model(TOKENS)
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="all"):
            model(TOKENS)

    def test_flag_of_the_test(golden_tensors):
        norm = layers.BatchNormalization()
        model = keras.Sequential([keras.Input((6, 4)), norm, layers.Dense(2)])
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="all"):
            model(X, training=CHANGED)
"""

BLAMED = {
    "test_argument[more]": ("<model>", "gained"),
    "test_argument[fewer]": ("<model>", "gained"),
    "test_argument[flag]": ("<model>", "sharp=True"),
    "test_mask[made]": ("table", "with a mask"),
    "test_mask[gone]": ("table", "without the golden's mask"),
    "test_mask[dropped]": ("<model>", "without the golden's mask"),
}


def outcomes(suite: pytest.Pytester) -> dict[str, dict[str, Any]]:
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    return {test["nodeid"].rpartition("::")[2]: test for test in tests}


@pytest.mark.processes
def test_the_caller_is_blamed_and_not_the_layer(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(SUITE)
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=7)
    suite.runpytest_inprocess().assert_outcomes(passed=7)
    monkeypatch.setenv("CHANGED", "1")
    suite.runpytest_inprocess("--golden-log=log.json").assert_outcomes(failed=7)
    changed = outcomes(suite)
    for name, (layer, said) in BLAMED.items():
        test = changed[name]
        assert test["isolation"] == "complete", name
        assert test["local_drift"] == [layer], name
        notes = [local["note"] for local in test["locals"] if local["name"] == layer]
        assert said in notes[0], name
    test = changed["test_flag_of_the_test"]
    assert {tensor["verdict"] for tensor in test["tensors"]} == {"incomparable"}
    assert "training=True, in the golden with training=False" in test["reason"] + str(test)


REPEATS = """
    import os
    import keras
    import numpy as np
    from keras import layers

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")

    def model(*between):
        made = keras.Sequential([keras.Input((4,)), layers.Dense(3), *between, layers.Dense(2)])
        return made

    class Counting(layers.Layer):
        calls = 0

        def call(self, x):
            self.calls += 1
            return x * (1.0 + self.calls) * (1.5 if CHANGED else 1.0)

    def test_counter(golden_tensors):
        made = model(Counting())
        golden_tensors.fill_weights(made)
        with golden_tensors.capture(made, select="all"):
            made(X)

    class Late(layers.Layer):
        def call(self, x):
            return keras.ops.where(x > 100, x * (1.5 if CHANGED else 1.0), x)

    def test_later_batch(golden_tensors):
        made = model(Late())
        golden_tensors.fill_weights(made)
        x = X * np.array([1] * 4 + [1e4] * 4, "float32")[:, None]
        with golden_tensors.capture(made, select="all"):
            made.predict(x, batch_size=4, verbose=0)

    def test_batch_size(golden_tensors):
        made = model(Late())
        golden_tensors.fill_weights(made)
        with golden_tensors.capture(made, select="all"):
            made.predict(X * 1000, batch_size=4 if CHANGED else 8, verbose=0)

    def test_state():
        keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input(batch_shape=(8, 1, 4)), layers.GRU(3, stateful=True)])
        made(X[:, None])
        if CHANGED:
            made.layers[0].reset_states()
        made(X[:, None])
"""


def test_what_no_isolation_can_say_is_not_said(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(REPEATS)
    suite.runpytest_inprocess("--update-goldens", "--golden-auto").assert_outcomes(passed=4)
    monkeypatch.setenv("CHANGED", "1")
    suite.runpytest_inprocess("--golden-auto", "--golden-log=log.json")
    tests = outcomes(suite)
    said = {name: (test["outcome"], test["isolation"]) for name, test in tests.items()}
    assert all(test["local_drift"] == [] for test in tests.values())
    verdicts = {name: {t["verdict"] for t in test["tensors"]} for name, test in tests.items()}
    assert said["test_counter"][0] == "failed"
    assert "differs when the call is made again" in said["test_counter"][1]
    assert "drift" in verdicts["test_counter"]
    assert said["test_later_batch"][0] == "failed"
    assert said["test_later_batch"][1].startswith("unavailable: the first batch")
    assert "takes batches of 4, in the golden of 8" in said["test_batch_size"][1]
    assert "@state0, before sequential@1" in str(tests["test_state"])


@pytest.mark.skipif(keras.backend.backend() == "numpy", reason="numpy cannot train")
def test_updates_that_nothing_ran_with_are_told(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import keras
        import numpy as np

        X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

        def trained():
            made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            made.compile("sgd", "mse")
            made.train_on_batch(X, Y)
            return made

        def test_last():
            trained()

        def test_looked_at():
            trained()(X)
        """
    )
    options = ("--update-goldens", "--golden-auto", "--golden-log=log.json")
    suite.runpytest_inprocess(*options, "--golden-select=logits")
    tests = outcomes(suite)
    assert tests["test_last"]["unseen"] == ["train_on_batch updates"]
    assert tests["test_looked_at"]["unseen"] == []
    suite.runpytest_inprocess(*options, "--golden-select=training")
    assert {tuple(test["unseen"]) for test in outcomes(suite).values()} == {()}
