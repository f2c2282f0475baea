"""Models with a training step and with losses of their own.

TensorFlow takes no class whose name begins with an underscore.
"""

from __future__ import annotations

from typing import Any

import keras

from training.scenarios.scenario import floats


def _net(policy: str, cls: type) -> Any:
    entry = keras.Input((6,))
    hidden = keras.layers.Dense(16, activation="tanh", dtype=policy, name="hidden")(entry)
    return cls(entry, keras.layers.Dense(1, dtype=policy, name="head")(hidden))


def custom_step(policy: str) -> Any:
    """As the guide of each backend writes one."""
    return _net(policy, _STEPS[keras.backend.backend()])


def custom_loss(policy: str) -> Any:
    model = Penalised(policy)
    model(floats(1, 6))
    return model


class StepOfJax(keras.Model):
    def _loss(self, trained: Any, fixed: Any, x: Any, y: Any) -> Any:
        predicted, fixed = self.stateless_call(trained, fixed, x, training=True)
        return keras.ops.mean(keras.ops.square(y - keras.ops.cast(predicted, y.dtype))), fixed

    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        trained, fixed, slots, metrics = state
        x, y = data
        differentiated = jax.value_and_grad(self._loss, has_aux=True)
        (loss, fixed), grads = differentiated(trained, fixed, x, y)
        trained, slots = self.optimizer.stateless_apply(slots, grads, trained)
        return {"loss": loss}, (trained, fixed, slots, metrics)


class StepOfTorch(keras.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data
        self.zero_grad()
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        loss.backward()
        trained = list(self.trainable_weights)
        self.optimizer.apply([variable.value.grad for variable in trained], trained)
        return {"loss": loss}


class StepOfTensorFlow(keras.Model):
    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        trained = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
        return {"loss": loss}


class Penalised(keras.Model):
    """Subclassed: a functional model with a `call` of its own cannot be built by all releases."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(16, activation="tanh", dtype=policy, name="hidden")
        self.head = keras.layers.Dense(1, dtype=policy, name="head")

    def call(self, x: Any) -> Any:
        made = self.head(self.hidden(x))
        self.add_loss(0.01 * keras.ops.mean(keras.ops.abs(made)))
        return made

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None,
                     sample_weight: Any = None, **options: Any) -> Any:  # fmt: skip
        loss = super().compute_loss(x, y, y_pred, sample_weight, **options)
        return loss + 0.1 * keras.ops.cast(keras.ops.mean(keras.ops.square(y_pred)), loss.dtype)


_STEPS = {"jax": StepOfJax, "torch": StepOfTorch, "tensorflow": StepOfTensorFlow}
