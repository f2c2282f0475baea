"""What watching makes of the functions that Keras compiles for steps, on jax."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from preloaded import runpytest

from pytest_keras_golden.capture.record.outlet import Outlets
from pytest_keras_golden.capture.record.reads import Reads

of_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="jax compiles the step")

SUITE = """
import os
import jax
import keras
import numpy as np

X, Y = np.ones((12, 3), "float32"), np.zeros((12, 1), "float32")

class Counting(keras.Model):
    traced = 0

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, *args, **kwargs):
        Counting.traced += 1
        with open(f"{os.environ['RUN']}.all", "a") as file:
            file.write("x")
        return super().train_step(*args, **kwargs)

def left(name, value):
    with open(f"{os.environ['RUN']}.{name}", "w") as file:
        file.write(str(value))

def weights(model):
    return [weight.numpy().tobytes().hex() for weight in model.weights]

def made(loss="mse", kind=Counting):
    keras.utils.set_random_seed(0)
    model = kind()
    model.build((None, 3))
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model

def test_twice():
    Counting.traced = 0
    model = made()
    for _ in range(3):
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    left("traced", Counting.traced)
    left("weights", weights(model))

def test_long():
    # Watched, a later step of it comes out one bit apart.
    layers, random = keras.layers, np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((8, 8, 2)), layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(), layers.Flatten(), layers.Dropout(0.3),
        layers.Dense(3, activation="softmax"),
    ])
    optimizer = keras.optimizers.Adam(0.01, clipnorm=0.5)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    images, kinds = random.normal(size=(22, 8, 8, 2)).astype("float32"), random.integers(0, 3, 22)
    model.fit(images, kinds, batch_size=4, epochs=6, shuffle=False, verbose=0)
    left("long", weights(model))

class Scalars(Counting):
    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return
        step = self.train_step

        @jax.jit
        def scalars(state, data):
            logs, state = step(state, data)
            return {name: value.mean() for name, value in logs.items()}, state

        self.train_function = lambda state, iterator: scalars(state, next(iterator))

class Recompiles(Counting):
    def fit(self, *args, **kwargs):
        self.compile(keras.optimizers.SGD(0.1), "mae")
        return super().fit(*args, **kwargs)

def test_compiled_in_its_own_fit():
    model = made(kind=Recompiles)
    keras.Model.fit(model, X, Y, batch_size=4, verbose=0)
    left("recompiled", model.fit(X, Y, batch_size=4, verbose=0).history)

def test_logs_that_the_user_looks_at():
    model = made(kind=Scalars)
    for _ in range(2):
        model.fit(X, Y, batch_size=4, verbose=0)
    left("own", weights(model))

def test_switched():
    # Keras does not hear of it: what it compiled runs on.
    model = made()
    model.fit(X, Y, batch_size=4, verbose=0)
    Counting.traced, model.run_eagerly = 0, True
    model.fit(X, Y, batch_size=4, verbose=0)
    left("switched", (Counting.traced, weights(model)))

def test_compiled_within():
    model = made()
    again = lambda epoch, logs: model.compile(keras.optimizers.SGD(0.1), "mae")
    callback = keras.callbacks.LambdaCallback(on_epoch_end=again)
    model.fit(X, Y, batch_size=12, verbose=0, callbacks=[callback])
    left("later", model.fit(X, Y, batch_size=12, verbose=0).history)
    left("loss", model.loss)
"""


def test_a_step_is_compiled_once_more_and_the_test_is_what_it_was(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite.makepyfile(test_steps=SUITE)

    def run(name: str, *options: str) -> dict[str, str]:
        monkeypatch.setenv("RUN", name)
        runpytest(suite, *options).assert_outcomes(passed=6)
        names = (
            "weights",
            "long",
            "later",
            "loss",
            "own",
            "recompiled",
            "switched",
            "traced",
            "all",
        )
        return {part: (suite.path / f"{name}.{part}").read_text() for part in names}

    runs = {
        "plain": run("plain", "-p", "no:keras_golden"),
        "recorded": run("recorded", "--golden-auto", "--update-goldens"),
        "checked": run("checked", "--golden-auto", "--golden-log=log.json"),
    }
    # For the test, watched, and for a golden the first batch once more for its layers. What is the
    # golden's own is not watched again, unless its function is the user's.
    traced = {name: len(left.pop("all")) for name, left in runs.items()}
    assert traced == {"plain": 7, "recorded": 3 * 7, "checked": 7 + 1}
    assert runs["recorded"] == runs["checked"] == runs["plain"]
    log = json.loads((suite.path / "log.json").read_text())
    own = next(test for test in log["tests"] if test["nodeid"].endswith("looks_at"))
    gradients = [t["name"] for t in own["tensors"] if "/gradients/" in t["name"]]
    assert len(gradients) == 6
    assert not own["warnings"]


def step(state: jax.Array, data: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
    return {"loss": state.sum()}, state + data


@of_jax
def test_what_is_read_of_a_step_leaves_it_beside_its_logs() -> None:
    reads, received = Reads(), []

    def reading(state: jax.Array, data: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        reads.read(state * data, received.append)
        return step(state, data)

    outlets, given = Outlets(reads), (jnp.ones(2), jnp.full(2, 3.0))
    leaving = outlets.around(reading)
    assert "callback" not in str(jax.make_jaxpr(leaving)(*given))
    (logs, state), beside = outlets.apart(jax.jit(leaving)(*given))
    assert list(logs) == ["loss"]
    assert np.array_equal(state, [4.0, 4.0])
    [(value, receive)] = beside
    receive(value)
    assert np.array_equal(received[0], [3.0, 3.0])


@of_jax
def test_what_lies_in_a_branch_is_called_back() -> None:
    reads, received = Reads(), []

    def reading(state: jax.Array, data: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        def branch(value: jax.Array) -> jax.Array:
            reads.read(value * 2.0, received.append)
            return value

        return step(jax.lax.cond(data.sum() > 0.0, branch, branch, state), data)

    outlets = Outlets(reads)
    returned, beside = outlets.apart(jax.jit(outlets.around(reading))(jnp.ones(2), jnp.ones(2)))
    reads.settle()
    assert list(returned[0]) == ["loss"]
    assert not beside
    assert np.array_equal(received[0], [2.0, 2.0])


@of_jax
def test_a_step_that_returns_no_logs_calls_back() -> None:
    reads, received = Reads(), []

    def reading(state: jax.Array) -> jax.Array:
        reads.read(state * 2.0, received.append)
        return state

    outlets = Outlets(reads)
    returned, beside = outlets.apart(jax.jit(outlets.around(reading))(jnp.ones(2)))
    reads.settle()
    assert np.array_equal(returned, [1.0, 1.0])
    assert not beside
    assert np.array_equal(received[0], [2.0, 2.0])
