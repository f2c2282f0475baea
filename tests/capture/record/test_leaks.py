"""Where jax looks for values that outlive their trace, the plugin holds none: tests run as ever."""

from __future__ import annotations

import json

import pytest

SUITE = """
import jax
import keras
import numpy as np

X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

def made():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

def test_jit():
    one = made()
    with jax.checking_leaks():
        jax.jit(lambda x: one(x))(X)

def test_fit():
    one = made()
    one.compile("sgd", "mse")
    with jax.checking_leaks():
        one.fit(X, Y, verbose=0)

def test_predict():
    one = made()
    with jax.checking_leaks():
        one.predict(X, verbose=0)

def test_by_hand():
    one, optimizer = made(), keras.optimizers.SGD(0.1)
    optimizer.build(one.trainable_variables)

    def loss(trained, rest, x):
        return keras.ops.mean(one.stateless_call(trained, rest, x)[0] ** 2)

    @jax.jit
    def step(trained, rest, slots, x):
        return optimizer.stateless_apply(slots, jax.grad(loss)(trained, rest, x), trained)

    of = (one.trainable_variables, one.non_trainable_variables, optimizer.variables)
    with jax.checking_leaks():
        step(*([variable.value for variable in some] for some in of), X)

def test_eager():
    one = made()
    with jax.checking_leaks():
        one(X)
"""


def test_what_is_traced_while_leaks_are_looked_for_is_left_alone_and_told(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite.makepyfile(SUITE)
    done = suite.runpytest_subprocess(
        "--golden-auto", "--update-goldens", "--golden-log=log.json", "-p", "no:randomly"
    )
    done.assert_outcomes(passed=5)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    found = {test["nodeid"].rpartition("::")[2]: test for test in tests}
    assert {name: test["unseen"] for name, test in found.items()} == {
        "test_jit": ["traced calls"],
        "test_fit": ["fit"],
        "test_predict": ["predict"],
        "test_by_hand": ["keras.ops", "optimizers", "traced calls"],
        "test_eager": [],
    }
    assert found["test_eager"]["outcome"] == "recorded"
