"""Loops that train without `fit`; `CHANGE=1` changes one component of each test's steps."""

import os

import keras
import numpy as np
import pytest

CHANGED = bool(os.environ.get("CHANGE"))
BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 8, 6)).astype("float32")
Y = RNG.normal(size=(5, 8, 1)).astype("float32")
STEPS = range(5)


def model(**options):
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(8, activation="tanh", name="hidden"),
        keras.layers.Dense(1, name="head", **options),
    ]
    return keras.Sequential([keras.Input((6,)), *layers])


def optimizer(kind=keras.optimizers.SGD, **options):
    return kind(0.0101 if CHANGED else 0.01, **options)


def loss_of(factor=1.0):
    measure = keras.losses.MeanSquaredError()
    if not CHANGED or factor == 1.0:
        return measure

    class MeanSquaredError(keras.losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return super().call(y_true, y_pred) * factor

    return MeanSquaredError(name="mean_squared_error")


def trained(made, chosen, measure):
    """The loop as it is written on each backend, without compiling anything."""
    return {"jax": on_jax, "torch": on_torch, "tensorflow": on_tensorflow}[BACKEND](
        made, chosen, measure
    )


def on_jax(made, chosen, measure, compiled=lambda function: function, whole=False):
    import jax

    def loss(weights, others, x, y):
        called = made.stateless_call(weights, others, x, return_losses=True)
        predicted, others, added = called
        return measure(y, predicted) + sum(added), others

    def step(state, x, y):
        weights, others, slots = state
        (value, others), grads = differentiated(weights, others, x, y)
        weights, slots = chosen.stateless_apply(slots, grads, weights)
        return value, (weights, others, slots)

    gradient = jax.value_and_grad(loss, has_aux=True)
    differentiated = gradient if whole else compiled(gradient)
    step = compiled(step) if whole else step
    chosen.build(made.trainable_variables)
    state = tuple(
        [variable.value for variable in variables]
        for variables in (made.trainable_variables, made.non_trainable_variables, chosen.variables)
    )
    losses = []
    for at in STEPS:
        value, state = step(state, X[at], Y[at])
        losses.append(float(value))
    for variable, value in zip(made.trainable_variables, state[0], strict=True):
        variable.assign(value)
    return losses


def on_torch(made, chosen, measure):
    losses = []
    for at in STEPS:
        made.zero_grad()
        loss = measure(keras.ops.convert_to_tensor(Y[at]), made(X[at])) + sum(made.losses)
        loss.backward()
        if isinstance(chosen, keras.optimizers.Optimizer):
            grads = [weight.value.grad for weight in made.trainable_weights]
            import torch

            with torch.no_grad():
                chosen.apply(grads, made.trainable_weights)
        else:
            chosen.step()
        losses.append(float(loss))
    return losses


def on_tensorflow(made, chosen, measure):
    import tensorflow as tf

    losses = []
    for at in STEPS:
        with tf.GradientTape() as tape:
            loss = measure(Y[at], made(X[at], training=True)) + sum(made.losses)
        grads = tape.gradient(loss, made.trainable_weights)
        chosen.apply_gradients(zip(grads, made.trainable_weights, strict=True))
        losses.append(float(loss))
    return losses


def test_optimizer():
    trained(model(), optimizer(keras.optimizers.Adam), loss_of())


def test_loss():
    trained(model(), keras.optimizers.Adam(0.01), loss_of(1.01))


def test_regularized():
    by = keras.regularizers.L2(0.101 if CHANGED else 0.1)
    trained(model(kernel_regularizer=by), keras.optimizers.Adam(0.01), loss_of())


def test_activity():
    by = keras.regularizers.L2(0.101 if CHANGED else 0.1)
    trained(model(activity_regularizer=by), keras.optimizers.Adam(0.01), loss_of())


def test_same():
    made = model()
    trained(made, keras.optimizers.Adam(0.01), loss_of())
    made(X[0])


def test_schedule():
    """Something that only a later step does."""
    rates = [0.01, 0.02 if CHANGED else 0.01]
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([3], rates)
    made = model()
    trained(made, keras.optimizers.SGD(rate), loss_of())


def test_variables():
    """No layer holds them."""
    keras.utils.set_random_seed(1)
    variables = [keras.Variable(X[0])]
    chosen = optimizer(momentum=0.9)
    for at in STEPS:
        chosen.apply([keras.ops.convert_to_tensor(X[at])], variables)


@pytest.mark.skipif(BACKEND != "jax", reason="of jax")
@pytest.mark.parametrize("whole", [False, True], ids=["gradient", "step"])
def test_compiled(whole):
    import jax

    on_jax(model(), optimizer(keras.optimizers.Adam), loss_of(), jax.jit, whole)


@pytest.mark.skipif(BACKEND != "torch", reason="of torch")
def test_torch_optim():
    import torch

    made = model()
    trained(made, torch.optim.AdamW(made.parameters(), lr=0.0101 if CHANGED else 0.01), loss_of())


@pytest.mark.skipif(BACKEND != "torch", reason="of torch")
@pytest.mark.parametrize("named", [False, True], ids=["placed", "named"])
def test_torch_closure(named):
    """The gradients of a step are made inside of it."""
    import torch

    made, measure = model(), loss_of()
    chosen = torch.optim.SGD(made.parameters(), lr=0.01, momentum=0.91 if CHANGED else 0.9)
    for at in STEPS:

        def closure(at=at):
            chosen.zero_grad()
            loss = measure(torch.as_tensor(Y[at]), made(torch.as_tensor(X[at])))
            loss.backward()
            return loss

        returned = chosen.step(closure=closure) if named else chosen.step(closure)
        assert returned.requires_grad


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_function():
    import tensorflow as tf

    made, chosen, measure = model(), optimizer(), loss_of()
    chosen.build(made.trainable_variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = measure(y, made(x, training=True))
        grads = tape.gradient(loss, made.trainable_weights)
        chosen.apply_gradients(zip(grads, made.trainable_weights, strict=True))
        return loss

    for at in STEPS:
        step(X[at], Y[at])


def test_batches():
    """A loop around a method for one batch, longer than what is recorded of it."""
    made = model()
    rates = [0.01, 0.02 if CHANGED else 0.01]
    made.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([3], rates)), "mse"
    )
    for at in STEPS:
        made.train_on_batch(X[at], Y[at])
