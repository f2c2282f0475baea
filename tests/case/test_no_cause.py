"""A layer that gave other numbers for no cause that can be told: the report says why not."""

from __future__ import annotations

import json

import pytest

SUITE = """
    import os
    import keras
    import numpy as np
    from keras import layers, ops

    MORE = 1.5 if os.environ.get("CHANGED") else 1.0
    X = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")

    class Scaled(layers.Layer):
        def call(self, x):
            return x * MORE

    class Insisting(layers.Layer):
        def call(self, x):
            if keras.backend.standardize_dtype(x.dtype) != "float32":
                raise TypeError("float32 and nothing else")
            return x * MORE

    class Largest(layers.Layer):
        def call(self, x):
            return ops.argmax(x if MORE == 1 else -x, axis=-1)

    def of(layer):
        return keras.Sequential([keras.Input((8,)), layers.Dense(8), layer])

    def test_insists(golden_tensors):
        with golden_tensors.capture(model := of(Insisting(name="last")), select="all"):
            model(X)

    def test_largest(golden_tensors):
        with golden_tensors.capture(model := of(Largest(name="last")), select="all"):
            model(X)

    def test_recorded_without(golden_tensors):
        with golden_tensors.capture(model := of(Scaled(name="last")), select="all"):
            model(X)
"""


def reasons(suite: pytest.Pytester, name: str) -> dict[str, str]:
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    (test,) = (test for test in tests if test["nodeid"].endswith(f"::{name}"))
    return {layer["name"]: layer["no_cause"] for layer in test["locals"] if layer["no_cause"]}


def test_what_cannot_be_lifted_says_so(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(SUITE)
    assert suite.runpytest_inprocess("--update-goldens", "--golden-twins=now").ret == 0
    later = ("-k", "without", "--update-goldens-mode=all", "--golden-twins=later")
    assert suite.runpytest_inprocess("--update-goldens", *later).ret == 0
    monkeypatch.setenv("CHANGED", "1")
    result = suite.runpytest_inprocess("--golden-log=log.json")
    assert result.ret == 1
    assert reasons(suite, "test_insists") == {
        "last": "the golden has no twins of this call: recorded without, or it fails in float64"
    }
    (largest,) = reasons(suite, "test_largest").values()
    assert largest.endswith("has no higher precision")
    assert reasons(suite, "test_recorded_without").keys() == {"last"}
    told = " ".join(result.stdout.str().split())
    assert "No cause is told of `last`: the golden has no twins of this call" in told


def test_code_of_others_is_not_run_twice_unasked(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(
        """
        import os
        import keras
        import numpy as np

        class Scaled(keras.layers.Layer):
            def call(self, x):
                return x * (1.5 if os.environ.get("CHANGED") else 1.0)

        def test_it():
            model = keras.Sequential([keras.Input((8,)), Scaled(name="last")])
            model(np.ones((2, 8), "float32"))
        """
    )
    assert suite.runpytest_inprocess("--golden-auto", "--update-goldens").ret == 0
    monkeypatch.setenv("CHANGED", "1")
    assert suite.runpytest_inprocess("--golden-auto", "--golden-log=log.json").ret == 1
    (why,) = reasons(suite, "test_it").values()
    assert why == (
        "its model calls code that is not Keras' own, which is not run in float64, unless the test"
        " names the model"
    )
