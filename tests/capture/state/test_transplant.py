"""What chance made is carried over; what a test loaded, assigned, trained or computed never is.

Each case runs twice, under two seeds, as under two releases.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.capture.state.draws import same_distribution

pytestmark = pytest.mark.filterwarnings("ignore")

SETUP = """
import keras
import numpy as np
from keras import layers
from pytest_keras_golden.capture.state.draws import OTHERWISE, WEIGHTS, Draws
from pytest_keras_golden.capture.state.transplant import transplanting

rng = np.random.default_rng
X = rng(0).normal(size=(2, 8)).astype("float32")

def out(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))

def side(mode, seed, make, call):
    keras.utils.set_random_seed(seed)
    draws = Draws(mode, folder)
    try:
        with draws.scope("tests/test_a.py::test_a"):
            with transplanting(mode, folder / "weights.safetensors", draws) as transplant:
                returned = out(call(make()))
            return returned, transplant.carried | draws.carried
    finally:
        draws.close()

def between(make, call=lambda model: model(X), other=None):
    first, _ = side("save", 1, make, call)
    second, carried = side("load", 2, other or make, call)
    return first, second, carried

def same(*arguments, kinds={WEIGHTS}, **named):
    first, second, carried = between(*arguments, **named)
    np.testing.assert_array_equal(first, second)
    assert carried == kinds, carried

def differ(*arguments, **named):
    first, second, carried = between(*arguments, **named)
    assert np.abs(first - second).max() > 0.05, np.abs(first - second).max()
    return carried

def built():
    return keras.Sequential([keras.Input((8,)), layers.Dense(5, name="hidden"), layers.Dense(3)])
"""


def run(code: str, folder: Path) -> None:
    if "fit(" in code and os.environ["KERAS_BACKEND"] == "numpy":
        pytest.skip("Keras has no fit on numpy")
    exec(SETUP + code, {"folder": folder})


CARRIED = {
    "an initializer of another scale": """
def scaled(scale):
    def make():
        start = keras.initializers.RandomNormal(stddev=scale)
        return keras.Sequential([keras.Input((8,)), layers.Dense(64, kernel_initializer=start)])
    return make
same(scaled(0.1), other=scaled(1.0), kinds={WEIGHTS, OTHERWISE})
""",
    "a lazily built layer": "same(lambda: layers.Dense(3))",
    "a functional model, built before": """
def make():
    inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(5, name="hidden")(inputs)))
same(make)
""",
    "a lazily built subclass": """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4), layers.Dense(3)
    def call(self, x):
        return self.second(self.first(x))
same(Net)
""",
    "bfloat16 weights": "same(lambda: layers.Dense(3, dtype='bfloat16'))",
    "dropout draws the same": """
def make():
    return keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dropout(0.5)])
same(make, lambda model: model(X, training=True), kinds={"initial weights", "random states"})
""",
    "predict": "same(built, lambda model: model.predict(X, verbose=0))",
    "inputs from Keras' own generator": """
same(lambda: layers.Rescaling(2.0), lambda layer: layer(keras.random.normal((30, 20))),
     kinds={"random inputs"})
""",
    "inputs of predict": """
def call(model):
    return model.predict(out(keras.random.normal((4, 8))), verbose=0)
same(built, call, kinds={"initial weights", "random inputs"})
""",
    "two roots of one class": """
def call(pair):
    return pair[1](pair[0](X))
same(lambda: (layers.Dense(8), layers.Dense(8)), call)
""",
    "what a test makes of initial weights": """
def call(model):
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model(X)
same(built, call)
""",
    "what is saved before the first call and loaded again": """
def call(model):
    model.save(folder / "m.keras")
    other = keras.saving.load_model(folder / "m.keras")
    assert np.array_equal(out(model(X)), out(other(X)))
    return other(X)
same(built, call)
""",
    "weights read before the first call": """
def call(layer):
    layer.build((None, 8))
    expected = X @ out(layer.kernel)
    np.testing.assert_allclose(out(layer(X)), expected, rtol=1e-5)
    return expected
same(lambda: layers.Dense(3), call)
""",
    "training goes on from them": """
def call(model):
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 3)), verbose=0)
    return model(X)
same(built, call)
""",
}


@pytest.mark.parametrize("code", CARRIED.values(), ids=CARRIED)
def test_the_second_run_computes_what_the_first_did(tmp_path: Path, code: str) -> None:
    run(code, tmp_path)


LEFT_ALONE = {
    "weights of a file": """
def loaded(seed):
    def make():
        keras.utils.set_random_seed(seed)
        model = built()
        return model
    return make
for seed in (5, 6):
    loaded(seed)().save_weights(folder / f"{seed}.weights.h5")
def reading(seed):
    def make():
        model = built()
        model.load_weights(folder / f"{seed}.weights.h5")
        return model
    return make
differ(reading(5), other=reading(6))
""",
    "a model of a file": """
def saved(seed):
    keras.utils.set_random_seed(seed)
    built().save(folder / f"{seed}.keras")
    return lambda: keras.saving.load_model(folder / f"{seed}.keras")
differ(saved(5), other=saved(6))
""",
    "what one side alone has loaded": """
built().save_weights(folder / "w.weights.h5")
def loaded():
    model = built()
    model.load_weights(folder / "w.weights.h5")
    return model
differ(loaded, other=built)
""",
    "weights that were set": """
def setting(seed):
    def make():
        model = built()
        model.set_weights([rng(seed).normal(size=w.shape) for w in model.get_weights()])
        return model
    return make
differ(setting(5), other=setting(6))
""",
    "weights that were assigned after the first call": """
def assigning(factor):
    def make():
        model = built()
        model(X)
        model.layers[0].kernel.assign(model.layers[0].kernel * factor)
        return model
    return make
differ(assigning(1.0), other=assigning(2.0))
""",
    "what a test computes from another model's output": """
def coding(factor):
    def make():
        encoder, decoder = layers.Dense(4), layers.Dense(3)
        return lambda x: decoder(encoder(x) * factor)
    return make
differ(coding(1.0), other=coding(2.0))
""",
    "inputs that a test makes itself": """
def scaled(factor):
    return lambda: (lambda x, layer=layers.Rescaling(1.0): layer(x * factor))
assert not differ(scaled(1.0), other=scaled(2.0))
""",
    "draws inside a layer": """
class Noisy(layers.Layer):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale
    def call(self, x):
        return x + self.scale * keras.random.normal((2, 8), seed=3)
differ(lambda: Noisy(1.0), other=lambda: Noisy(2.0))
""",
    "another constant": """
differ(lambda: layers.Dense(3, kernel_initializer="ones"),
       other=lambda: layers.Dense(3, kernel_initializer="zeros"))
""",
}


@pytest.mark.parametrize("code", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_the_subject_of_a_test_is_left_alone(tmp_path: Path, code: str) -> None:
    run(code, tmp_path)


def test_layers_that_a_release_builds_in_another_order_are_found_by_their_place(
    tmp_path: Path,
) -> None:
    code = """
class Net(keras.Model):
    def __init__(self, order):
        super().__init__()
        self.first, self.second = layers.Dense(8), layers.Dense(8)
        for name in order:
            getattr(self, name).build((None, 8))
        self.built = True
    def call(self, x):
        return self.second(self.first(x))
first, second, carried = between(lambda: Net(["first", "second"]),
                                 other=lambda: Net(["second", "first"]))
np.testing.assert_array_equal(first, second)
"""
    run(code, tmp_path)


def test_other_shapes_stay_as_they_are(tmp_path: Path) -> None:
    code = """
first, second, carried = between(lambda: layers.Dense(3), other=lambda: layers.Dense(5))
assert second.shape == (2, 5)
assert not carried
"""
    run(code, tmp_path)


def test_watching_moves_no_random_state(tmp_path: Path) -> None:
    code = """
import random
def states(watched):
    keras.utils.set_random_seed(7)
    def make():
        return layers.Dense(3)
    if watched:
        side("save", 7, make, lambda layer: layer(X))
    else:
        make()(X)
    return random.getstate(), np.random.get_state()[2]
assert states(True) == states(False)
"""
    run(code, tmp_path)


@given(st.integers(0, 2**32 - 1), st.integers(200, 900), st.floats(0.01, 100))
def test_two_draws_of_one_distribution_are_told_from_another(
    seed: int, size: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    one, other = scale * rng.normal(size=(2, size))
    assert same_distribution(one, other)
    assert not same_distribution(one, 4 * other)
    # The same draw is another initializer's as soon as it is scaled or shifted.
    assert same_distribution(one, one.astype("float16").astype("float64"))
    assert not same_distribution(one, 1.1 * one)
    assert not same_distribution(one, one + 0.1 * scale)
    assert not same_distribution(one, other + 3 * scale)


def test_constants_are_draws_of_nothing() -> None:
    assert not same_distribution(np.zeros(9), np.ones(9))
    assert same_distribution(np.ones(9), np.ones(9))


MADE_IN_A_PROGRAM = """
def fitted(model):
    model.compile("sgd", loss="binary_crossentropy", metrics=["acc"])
    model.fit(np.abs(X) % 1, np.array([[0.0], [1.0]]), epochs=2, verbose=0)
    return model.get_metrics_result()["loss"]

def given():
    return keras.Sequential([keras.Input((8,)), layers.Dense(1, activation="sigmoid")])

def unbuilt():
    return keras.Sequential([layers.Dense(1, activation="sigmoid")])

same(given, fitted)
assert np.isfinite(side("save", 1, unbuilt, fitted)[0])
"""


@pytest.mark.tensorflow
def test_metrics_that_fit_makes_while_tensorflow_traces_it_hold_no_numbers_yet(
    tmp_path: Path,
) -> None:
    code = f"from pathlib import Path; folder = Path({str(tmp_path)!r})\n{SETUP}{MADE_IN_A_PROGRAM}"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
