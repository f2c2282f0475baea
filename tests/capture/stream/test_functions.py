"""By which functions a call draws, and whether they make the numbers of a seed that they made."""

from __future__ import annotations

import json
from collections.abc import Callable

import keras
import numpy as np
import pytest
from backends import IMPORTED
from keras.src import backend as keras_backend

from pytest_keras_golden.capture.stream.functions import (
    _Functions,
    called,
    drawn_since,
    listening,
)
from pytest_keras_golden.capture.stream.shared import share, unshare
from pytest_keras_golden.compare.calls import VALUES

CODE = """
import json
import keras
import numpy as np
from pytest_keras_golden.capture.stream.functions import called, drawn_since, listening

generator = keras.random.SeedGenerator(3)
with listening():
    before = called()
    for name in ("uniform", "normal", "truncated_normal"):
        getattr(keras.random, name)((3,), seed=1)
    keras.random.gamma((3,), 2.0, seed=1)
    keras.random.beta((3,), 2.0, 2.0, seed=1)
    keras.random.binomial((3,), 4.0, 0.5, seed=1)
    keras.random.randint((3,), 0, 4, seed=1)
    keras.random.shuffle(keras.ops.arange(3), seed=1)
    keras.random.dropout(keras.ops.ones((3,)), 0.5, seed=generator)
    keras.random.categorical(keras.ops.zeros((1, 3)), 2, seed=1)
    state = np.asarray(keras.ops.convert_to_numpy(generator.state.value)).tolist()
    drawn = drawn_since(before, True)
after = np.asarray(keras.ops.convert_to_numpy(generator.state.value)).tolist()
assert state == after
print(json.dumps(drawn))
"""
EVERY = {
    f"keras.random.{name}"
    for name in (
        *("uniform", "normal", "truncated_normal", "gamma", "beta"),
        *("binomial", "randint", "shuffle", "dropout", "categorical"),
    )
}


@pytest.mark.any_backend
@pytest.mark.processes
@pytest.mark.parametrize("backend", ["numpy", *IMPORTED])
def test_every_function_is_told_apart(run_python: Callable[..., str], backend: str) -> None:
    one, again = (json.loads(run_python(CODE, backend)) for _ in range(2))
    assert set(one) == EVERY
    assert one == again
    # Of normal numbers truncated ones may be the first that do.
    assert len(set(one.values())) >= len(EVERY) - 2


@pytest.mark.any_backend
@pytest.mark.processes
def test_another_generator_makes_other_numbers_of_a_seed(run_python: Callable[..., str]) -> None:
    """jax 0.5 made the partitionable generator its default."""
    pytest.importorskip("jax")
    old, new = (
        json.loads(run_python(CODE, "jax", JAX_THREEFRY_PARTITIONABLE=switch)) for switch in "01"
    )
    assert {name for name in EVERY if old[name] != new[name]} >= {
        f"keras.random.{name}" for name in ("uniform", "normal", "dropout", "randint")
    }


def test_functions_are_counted_inside_of_blocks_alone() -> None:
    original = keras_backend.random.uniform
    before = called()
    keras.random.uniform((2,), seed=1)
    assert called() == before
    with listening(), listening():
        keras.random.uniform((2,), seed=1)
        found = drawn_since(before, True)
        assert set(found) == {"keras.random.uniform"}
        # A probe is nobody's call.
        assert called().get("uniform", 0) == before.get("uniform", 0) + 1
        # A program that was traced before: any function may have drawn.
        assert set(drawn_since(called(), True)) >= {"keras.random.uniform"}
        assert drawn_since(called(), False) == {}
    assert keras_backend.random.uniform is original


def test_a_shared_stream_has_no_functions_to_tell_apart() -> None:
    share()
    try:
        with listening():
            before = called()
            keras.random.dropout(np.ones(3, "float32"), 0.5, seed=1)
            assert drawn_since(before, True) == {}
    finally:
        unshare()


def test_what_draws_weights_is_not_counted() -> None:
    with listening():
        before = called()
        keras.initializers.GlorotUniform(seed=1)((3, 2))
        keras.initializers.RandomNormal(seed=1)((3, 2))
        assert called() == before


@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_the_precision_of_the_moment_makes_no_difference(floatx: str) -> None:
    """Whoever is asked first is remembered."""
    wanted = _Functions().drawn("uniform")
    before = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        assert _Functions().drawn("uniform") == wanted
    finally:
        keras.config.set_floatx(before)


def test_a_dropout_that_scales_otherwise_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function makes of its numbers is no other draw."""
    original = keras_backend.random.dropout
    one = str(_Functions().drawn("dropout"))
    monkeypatch.setattr(
        keras_backend.random, "dropout", lambda x, rate, **more: original(x, rate, **more) * 0.5
    )
    other = str(_Functions().drawn("dropout"))
    assert one.partition(VALUES)[0] == other.partition(VALUES)[0]
    assert one != other


def test_a_function_that_somebody_put_there_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def own(*_: object, **__: object) -> None:
        """Of a test's own."""

    with listening():
        monkeypatch.setattr(keras_backend.random, "uniform", own)
    assert keras_backend.random.uniform is own
