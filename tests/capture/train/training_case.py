"""Tests of a suite that trains; `CHANGE=1` changes one component of each test's training step."""

import contextlib
import os

import keras
import numpy as np
import pytest

CHANGED = bool(os.environ.get("CHANGE"))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")


def model(*between):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(8, name="hidden"), *between, keras.layers.Dense(1, name="head")]
    return keras.Sequential([keras.Input((6,)), *layers])


def scaled(monkeypatch, owner, method, place=None, factor=1.01):
    """What a method returns, or one of its arguments, is larger than it was."""
    if not CHANGED:
        return
    original = getattr(owner, method)

    def changed(self, *args, **kwargs):
        if place is not None:
            args = (*args[:place], args[place] * factor, *args[place + 1 :])
            return original(self, *args, **kwargs)
        returned = original(self, *args, **kwargs)
        if isinstance(returned, list):
            return [item * factor for item in returned]
        return returned * factor

    monkeypatch.setattr(owner, method, changed)


def fit(made, **options):
    made.fit(X, Y, **{"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, **options})


def test_optimizer(monkeypatch):
    made = model()
    made.compile("adam", "mse")
    optimizer = type(made.optimizer)
    owner = next(kind for kind in optimizer.__mro__ if "update_step" in vars(kind))
    if keras.backend.backend() == "torch":
        import importlib

        name = "keras.src.backend.torch.optimizers.torch_adam"
        owner = importlib.import_module(name).Adam
        scaled(monkeypatch, owner, "_parallel_update_step", place=2)
    else:
        scaled(monkeypatch, owner, "update_step", place=2)
    fit(made)


def test_clipping(monkeypatch):
    made = model()
    made.compile(keras.optimizers.SGD(0.01, clipnorm=0.01), "mse")
    owner = next(k for k in type(made.optimizer).__mro__ if "_clip_gradients" in vars(k))
    scaled(monkeypatch, owner, "_clip_gradients")
    fit(made)


def test_schedule(monkeypatch):
    decay = keras.optimizers.schedules.CosineDecay
    scaled(monkeypatch, decay, "__call__")
    made = model()
    made.compile(keras.optimizers.SGD(decay(0.01, 10)), "mse")
    fit(made)


def test_loss(monkeypatch):
    scaled(monkeypatch, keras.losses.MeanSquaredError, "call")
    made = model()
    made.compile("sgd", keras.losses.MeanSquaredError())
    fit(made)


def test_regularisation(monkeypatch):
    """The loss itself is what it was."""
    scaled(monkeypatch, keras.regularizers.L2, "__call__")
    made = model(keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1)))
    made.compile("sgd", keras.losses.MeanSquaredError())
    fit(made)


def test_activity(monkeypatch):
    """Of a layer, which is what it was."""
    scaled(monkeypatch, keras.regularizers.L2, "__call__")
    made = model(keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.1), name="a"))
    made.compile("sgd", keras.losses.MeanSquaredError())
    fit(made)


class Encoder(keras.layers.Layer):
    """Adds two losses."""

    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs))
        self.add_loss((1.01 if CHANGED else 1.0) * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


def test_added():
    made = model(Encoder(name="encoder"))
    made.compile("sgd", keras.losses.MeanSquaredError())
    fit(made)


def test_constraint(monkeypatch):
    scaled(monkeypatch, keras.constraints.MaxNorm, "__call__")
    made = model(keras.layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.5)))
    made.compile("sgd", keras.losses.MeanSquaredError())
    fit(made)


def test_metric_of_several(monkeypatch):
    """Only what it keeps differs at first."""
    if CHANGED:
        update = keras.metrics.AUC.update_state

        def changed(self, y_true, y_pred, sample_weight=None):
            update(self, y_true, y_pred, sample_weight=sample_weight)
            self.true_positives.assign(self.true_positives * 2)
            self.false_negatives.assign(self.false_negatives * 2)

        monkeypatch.setattr(keras.metrics.AUC, "update_state", changed)
    made = model(keras.layers.Dense(1, activation="sigmoid"))
    metrics = [keras.metrics.AUC(name="area"), keras.metrics.BinaryAccuracy(name="right")]
    made.compile("sgd", "mse", metrics=metrics)
    made.fit(X, (Y > 0).astype("float32"), batch_size=8, shuffle=False, verbose=0)


def test_metric(monkeypatch):
    scaled(monkeypatch, keras.metrics.MeanAbsoluteError, "result")
    made = model()
    made.compile("sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    fit(made)


def test_order():
    made = model()
    made.compile("sgd", "mse")
    keras.utils.set_random_seed(2 if CHANGED else 1)
    fit(made, shuffle=True)


def test_statistics():
    made = model(keras.layers.BatchNormalization(name="norm", momentum=0.8 if CHANGED else 0.9))
    made.compile("sgd", "mse")
    fit(made)


def test_forward():
    made = model(keras.layers.LeakyReLU(0.11 if CHANGED else 0.1, name="leak"))
    made.compile("sgd", "mse")
    fit(made)


def test_forward_behind_a_division():
    """jax divides by a number (what dropout keeps) otherwise where it differentiates."""
    leak = keras.layers.LeakyReLU(0.11 if CHANGED else 0.1, name="leak")
    made = model(keras.layers.Dropout(0.4), leak)
    made.compile("sgd", "mse")
    fit(made)


class Apart(keras.Sequential):
    """Takes its batch apart, as the guides do."""

    def train_step(self, *state_and_batch):
        *state, (x, y) = state_and_batch
        return super().train_step(*state, (x, y))


def test_own_step():
    leak = keras.layers.LeakyReLU(0.11 if CHANGED else 0.1, name="leak")
    made = Apart([*model(leak).layers])
    made.compile("sgd", "mse")
    fit(made)


class Custom(keras.Model):
    """Overrides its loss, as users do."""

    def __init__(self):
        super().__init__()
        self.inner = model()

    def call(self, inputs, training=None):
        return self.inner(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean(keras.ops.square(y - y_pred))
        return loss * (1.01 if CHANGED else 1.0)


def test_custom():
    made = Custom()
    made(X)
    made.compile("sgd")
    fit(made)


def test_evaluate(monkeypatch):
    scaled(monkeypatch, keras.losses.MeanSquaredError, "call")
    made = model()
    made.compile("sgd", keras.losses.MeanSquaredError())
    made.evaluate(X, Y, batch_size=8, verbose=0)


def test_later():
    """Something that only a later step does."""
    made = model()
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.01, 0.02 if CHANGED else 0.01])
    made.compile(keras.optimizers.SGD(rate), "mse")
    fit(made)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_unchanged(optimizer):
    made = model(keras.layers.Dropout(0.3))
    made.compile(optimizer, "mse", metrics=["mae"])
    fit(made, validation_split=0.25)


class Rivals(keras.Model):
    """Two networks, each with an optimizer of its own, as the guides write it."""

    def __init__(self):
        super().__init__()
        keras.utils.set_random_seed(1)
        self.maker, self.judge = (keras.layers.Dense(6, name=n) for n in ("maker", "judge"))
        self.head = keras.layers.Dense(1, name="head")

    def compile(self, first, second):
        super().compile()
        self.judging, self.making = first, second
        self.loss_fn = keras.losses.MeanSquaredError()

    def call(self, inputs):
        return self.head(self.judge(self.maker(inputs)))

    def train_step(self, data):
        x, y = data
        said = {}
        for name in ("judge", "maker"):
            weights = getattr(self, name).trainable_weights
            grads, loss = self.gradients(x, y, weights)
            optimizer = self.judging if name == "judge" else self.making
            with not_differentiated():
                optimizer.apply(grads, weights)
            said[name] = loss
        return said

    def gradients(self, x, y, weights):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                loss = self.loss_fn(y, self(x))
            return tape.gradient(loss, weights), loss
        self.zero_grad()
        loss = self.loss_fn(y, self(x))
        loss.backward()
        return [weight.value.grad for weight in weights], loss.detach()


def not_differentiated():
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


if keras.backend.backend() != "jax":
    # Steps are functions of numbers alone there, and have one optimizer.
    @pytest.mark.parametrize("option", ["learning_rate", "momentum"])
    def test_two_optimizers(option):
        options = {"learning_rate": 0.01, "momentum": 0.9}
        second = {**options, option: options[option] * (1.01 if CHANGED else 1.0)}
        made = Rivals()
        made(X)
        made.compile(keras.optimizers.SGD(**options), keras.optimizers.SGD(**second))
        # TensorFlow's functions make no variables of their own.
        made.judging.build(made.judge.trainable_weights)
        made.making.build(made.maker.trainable_weights)
        fit(made)
