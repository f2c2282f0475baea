"""Where jax guards values of a trace, or transfers, the plugin keeps out: tests run as ever."""

from __future__ import annotations

import json

import pytest

SUITE = """
import jax
import keras

GUARD = {guard}
X, Y = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 2))

def made():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

def test_jit():
    one = made()
    with GUARD():
        jax.jit(lambda x: one(x))(X)

def test_fit():
    one = made()
    one.compile("sgd", "mse")
    with GUARD():
        one.fit(X, Y, verbose=0)

def test_predict():
    one = made()
    with GUARD():
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
    with GUARD():
        step(*([variable.value for variable in some] for some in of), X)

def test_eager():
    one = made()
    with GUARD():
        one(X)
"""


LEFT_ALONE = {
    "test_jit": ["traced calls"],
    "test_fit": ["fit"],
    "test_predict": ["predict"],
    "test_by_hand": ["keras.ops", "optimizers", "traced calls"],
    "test_eager": [],
}


@pytest.mark.parametrize(
    ("guard", "names"),
    [
        ("jax.checking_leaks", list(LEFT_ALONE)),
        # Keras itself sends batches to the device, and scalars.
        ('lambda: jax.transfer_guard_host_to_device("disallow")', ["test_jit", "test_by_hand"]),
    ],
)
def test_what_is_traced_under_a_guard_is_left_alone_and_told(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, guard: str, names: list[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite.makepyfile(test_guarded=SUITE.replace("{guard}", guard))
    done = suite.runpytest_subprocess(
        *("--golden-auto", "--update-goldens", "--golden-log=log.json", "-p", "no:randomly"),
        *(f"test_guarded.py::{name}" for name in names),
    )
    done.assert_outcomes(passed=len(names))
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    found = {test["nodeid"].rpartition("::")[2]: test for test in tests}
    assert {name: test["unseen"] for name, test in found.items()} == {
        name: LEFT_ALONE[name] for name in names
    }
    recorded = {name for name, test in found.items() if test["outcome"] == "recorded"}
    assert recorded == {"test_eager"} & set(names)
