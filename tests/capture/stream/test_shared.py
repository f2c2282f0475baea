"""What is drawn from the shared stream: the same on every backend, and of its distribution."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest
from backends import IMPORTED
from keras.src import backend as keras_backend

from pytest_keras_golden.capture.stream import shared

CODE = """
import json, sys
import keras
import numpy as np
from pytest_keras_golden.capture.stream.shared import share

share()
host = keras.ops.convert_to_numpy
seed = keras.random.SeedGenerator(7)
found = {
    "uniform": keras.random.uniform((1001,), -1, 3, seed=3),
    "bfloat16": keras.ops.cast(keras.random.uniform((300,), seed=3, dtype="bfloat16"), "float32"),
    "randint": keras.random.randint((400,), -5, 17, seed=seed),
    "dropout": keras.random.dropout(np.ones((30, 31), "float32"), 0.3, seed=seed),
    "spatial": keras.random.dropout(np.ones((3, 31), "float32"), 0.3, (None, 1), seed=seed),
    "shuffle": keras.random.shuffle(np.arange(100), seed=seed),
    "categorical": keras.random.categorical(np.log([[0.1, 0.2, 0.7]]), 300, seed=seed),
    "normal": keras.random.normal((501,), seed=seed),
    "truncated": keras.random.truncated_normal((50, 7), seed=seed),
    "gamma": keras.random.gamma((3, 50), np.array([[0.3], [1.0], [4.0]], "float32"), seed=seed),
    "beta": keras.random.beta((200,), 2.0, 0.5, seed=seed),
    "binomial": keras.random.binomial((2, 100), [[3], [40]], 0.25, seed=seed),
}
found = {name: host(value).astype("float64").ravel().tolist() for name, value in found.items()}
if keras.backend.backend() != "numpy":
    inputs = np.linspace(-1, 1, 48).reshape(8, 6).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
            keras.layers.Dropout(0.4, seed=2),
            keras.layers.GaussianNoise(0.1, seed=3),
            keras.layers.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed=1)),
        ]
    )
    model.compile("sgd", "mse")
    fitted = model.fit(inputs, inputs[:, :1], batch_size=4, epochs=3, shuffle=False, verbose=0)
    found["loss"] = fitted.history["loss"]
print(json.dumps(found))
"""
ROUNDED = frozenset({"normal", "truncated", "gamma", "beta", "loss"})
"""They take logarithms, powers and cosines, which backends round otherwise."""


@pytest.mark.parametrize("backend", ["numpy", *IMPORTED])
@pytest.mark.any_backend
@pytest.mark.processes
def test_every_backend_draws_the_same(run_python: Callable[..., str], backend: str) -> None:
    here, there = (json.loads(run_python(CODE, name)) for name in ("jax", backend))
    for name in here.keys() & there.keys():
        if name in ROUNDED:
            np.testing.assert_allclose(there[name], here[name], rtol=2e-5, atol=2e-6)
        else:
            assert there[name] == here[name], name


@pytest.fixture
def stream() -> Iterator[None]:
    shared.share()
    yield
    shared.unshare()


N = 40_000
DRAWS: dict[str, tuple[Callable[[], object], float, float]] = {
    "uniform": (lambda: keras.random.uniform((N,), -1, 3, seed=1), 1.0, 16 / 12),
    "float16": (lambda: keras.random.uniform((N,), dtype="float16", seed=1), 0.5, 1 / 12),
    "normal": (lambda: keras.random.normal((N,), 2.0, 3.0, seed=2), 2.0, 9.0),
    "truncated": (lambda: keras.random.truncated_normal((N,), seed=3), 0.0, 0.7737),
    "randint": (lambda: keras.random.randint((N,), 3, 9, seed=4), 5.5, 35 / 12),
    "dropout": (lambda: keras.random.dropout(np.ones(N, "float32"), 0.2, seed=5), 1.0, 0.25),
    "gamma": (lambda: keras.random.gamma((N,), 3.0, seed=6), 3.0, 3.0),
    "small gamma": (lambda: keras.random.gamma((N,), 0.4, seed=7), 0.4, 0.4),
    "beta": (lambda: keras.random.beta((N,), 2.0, 3.0, seed=8), 0.4, 0.04),
    "binomial": (lambda: keras.random.binomial((N,), 10, 0.3, seed=9), 3.0, 2.1),
}


@pytest.mark.usefixtures("stream")
@pytest.mark.parametrize("name", DRAWS)
def test_mean_and_variance_are_those_of_the_distribution(name: str) -> None:
    draw, mean, variance = DRAWS[name]
    drawn = keras.ops.convert_to_numpy(draw()).astype("float64")
    error = (variance / N) ** 0.5
    assert abs(drawn.mean() - mean) < 5 * error
    assert abs(drawn.var() / variance - 1) < 0.06
    if name == "truncated":
        assert np.abs(drawn).max() <= 2.0


@pytest.mark.usefixtures("stream")
def test_classes_are_drawn_by_their_probabilities() -> None:
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], "float32")
    drawn = keras.ops.convert_to_numpy(keras.random.categorical(np.log(shares), N, seed=1))
    counted = np.stack([(drawn == at).mean(1) for at in range(3)], 1)
    np.testing.assert_allclose(counted, shares, atol=0.015)


@pytest.mark.usefixtures("stream")
def test_a_shuffle_loses_nothing_and_seeds_differ() -> None:
    orders = [
        tuple(keras.ops.convert_to_numpy(keras.random.shuffle(np.arange(50), seed=seed)).tolist())
        for seed in range(5)
    ]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(orders)) == 5


@pytest.mark.usefixtures("stream")
def test_a_generator_goes_on_as_it_does_without() -> None:
    generator = keras.random.SeedGenerator(3)
    one, other = (keras.random.uniform((5,), seed=generator) for _ in range(2))
    assert not np.array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert keras.ops.convert_to_numpy(generator.state.value).tolist() == [3, 2]


def test_afterwards_the_backend_draws_by_itself() -> None:
    before = {name: getattr(keras_backend.random, name) for name in ("normal", "binomial")}
    shared.share()
    assert shared.is_shared()
    assert shared.drawn_by_its_own() == frozenset()
    keras.random.binomial((3,), 4.0, 0.5, seed=1)
    assert shared.drawn_by_its_own() == frozenset()
    keras.random.binomial((3,), 4e6, 0.5, seed=1)
    assert shared.drawn_by_its_own() == {"keras.random.binomial"}
    shared.unshare()
    assert not shared.is_shared()
    assert shared.drawn_by_its_own() == frozenset()
    assert {name: getattr(keras_backend.random, name) for name in before} == before


x = np.arange(8, dtype="float32").reshape(2, 4) + 1
STRANGE = {
    "numpy's integers": lambda: keras.random.normal((np.int64(3), 4), seed=1),
    "a short noise shape": lambda: keras.random.dropout(x, 0.5, noise_shape=(4,), seed=1),
    "a mean in another precision": lambda: keras.random.normal(
        (3,), keras.ops.ones((3,), "float16"), 2.0, dtype="float16", seed=1
    ),
    "no numbers": lambda: keras.random.truncated_normal((0, 3), seed=1),
    "a wide range": lambda: keras.random.randint((3,), -(2**31), 2**31 - 1, seed=1),
    "ranges": lambda: keras.random.randint((3,), np.array([0, 5, 7]), np.array([3, 9, 70]), seed=1),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_the_backend_draws_is_drawn_in_the_same_form(name: str) -> None:
    own = keras.ops.convert_to_numpy(STRANGE[name]())
    shared.share()
    try:
        drawn = keras.ops.convert_to_numpy(STRANGE[name]())
    finally:
        shared.unshare()
    assert (drawn.shape, drawn.dtype) == (own.shape, own.dtype)


def test_where_the_stream_fails_the_generator_is_where_it_was() -> None:
    own, other = (keras.random.SeedGenerator(4) for _ in range(2))
    expected = keras.ops.convert_to_numpy(keras.random.binomial((3,), 4e6, 0.5, seed=own))
    shared.share()
    try:
        found = keras.ops.convert_to_numpy(keras.random.binomial((3,), 4e6, 0.5, seed=other))
    finally:
        shared.unshare()
    assert np.array_equal(found, expected)
    assert np.array_equal(*(keras.ops.convert_to_numpy(g.state.value) for g in (own, other)))


def test_what_the_backend_refuses_as_well_was_not_drawn_by_it() -> None:
    shared.share()
    try:
        with pytest.raises(Exception):  # noqa: B017, PT011 (each backend has its own)
            keras.random.normal("shape", seed=1)
        assert shared.drawn_by_its_own() == frozenset()
    finally:
        shared.unshare()


@pytest.mark.usefixtures("stream")
def test_an_operation_that_draws_by_itself_is_noted() -> None:
    """It makes a key of the seed that it is given, and numbers of that on its own."""
    layer = keras.layers.RandomElasticTransform(1.0, seed=1)
    layer(np.ones((1, 8, 8, 3), "float32"), training=True)
    assert shared.drawn_by_its_own() == {"keras.ops.image.elastic_transform"}
