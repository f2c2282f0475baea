"""Tests of a suite whose training goes wrong, or hardly happens."""

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
OPTIONS = {"batch_size": 8, "shuffle": False, "verbose": 0}


def model(kind=keras.Sequential):
    keras.utils.set_random_seed(1)
    made = kind([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


class Raises(keras.callbacks.Callback):
    def __init__(self, error, at):
        super().__init__()
        self.error, self.at = error, at

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise self.error


def test_raises_between_steps():
    with pytest.raises(ZeroDivisionError):
        model().fit(X, Y, callbacks=[Raises(ZeroDivisionError(), 1)], **OPTIONS)


def test_interrupted():
    made = model()
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, Y, epochs=9, callbacks=[Raises(KeyboardInterrupt(), 2)], **OPTIONS)
    made(X)


class Breaks(keras.Sequential):
    """Its step raises, in the program or while that is traced."""

    def train_step(self, *args, **kwargs):
        raise ZeroDivisionError("broken")


def test_step_raises():
    with pytest.raises(ZeroDivisionError, match="broken"):
        model(Breaks).fit(X, Y, **OPTIONS)


def test_goes_on_after_an_error():
    """The next training begins where the broken one ended."""
    made = model()
    with pytest.raises(ZeroDivisionError):
        made.fit(X, Y, callbacks=[Raises(ZeroDivisionError(), 0)], **OPTIONS)
    made.fit(X, Y, **OPTIONS)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"\S"):
        model().fit(X, Y[:3], **OPTIONS)


def test_nan():
    made = model()
    history = made.fit(X * np.float32(np.nan), Y, **OPTIONS)
    assert np.isnan(history.history["loss"][0])


def test_overflow():
    made = model()
    made.compile(keras.optimizers.SGD(1e20), "mse")
    made.fit(X, Y, **OPTIONS)


def test_no_epochs():
    made = model()
    made.fit(X, Y, epochs=0, **OPTIONS)
    assert not made.history.history


def test_yields_nothing():
    made = model()
    with pytest.raises(Exception, match=r"\S"):
        made.fit((pair for pair in ()), shuffle=False, verbose=0)


def test_yields_other_shapes():
    made = model()
    made.fit(((X[:size], Y[:size]) for size in (8, 5, 3)), shuffle=False, verbose=0)


class NeverApplies(keras.Sequential):
    def train_step(self, *args):
        if keras.backend.backend() != "jax":
            return self.test_step(*args)
        (trained, others, slots, metrics), data = args
        logs, (trained, others, metrics) = self.test_step((trained, others, metrics), data)
        return logs, (trained, others, slots, metrics)


def test_never_applies():
    model(NeverApplies).fit(X, Y, **OPTIONS)


def test_compiled_twice():
    made = model()
    made.fit(X, Y, **OPTIONS)
    made.compile("adam", "mae")
    made.fit(X, Y, **OPTIONS)


def test_trains_another_inside():
    """A callback that trains a model of its own has none of the steps."""
    made, other = model(), model()

    class Trains(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            other.fit(X, Y, epochs=2, **OPTIONS)

    made.fit(X, Y, callbacks=[Trains()], **OPTIONS)


def test_callback_writes_weights():
    made = model()

    class Zeros(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            made.layers[-1].set_weights([np.zeros((8, 1)), np.zeros(1)])

    made.fit(X, Y, callbacks=[Zeros()], **OPTIONS)
