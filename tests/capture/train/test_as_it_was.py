"""What a test finds after its training is as when nobody watches: optimizers that no step
uses, arrays that two variables share, variables that jax deleted, strategies of TensorFlow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from backends import TRAINING

pytestmark = pytest.mark.processes

BEGIN = """
    import json
    import keras
    import numpy as np
    from pytest_keras_golden.capture.block import capture_block
    from pytest_keras_golden.capture.tap.request import Request

    X, Y = np.linspace(-1, 1, 48, dtype="float32").reshape(8, 6), np.ones((8, 1), "float32")


    def net(width=1):
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(width)])


    def numbers(variables):
        return [keras.ops.convert_to_numpy(one.value).tolist() for one in variables]
"""

END = """
    told = {}
    for name, way in WAYS.items():
        keras.utils.set_random_seed(1)
        plainly = way()
        keras.utils.set_random_seed(1)
        with capture_block(None, Request()) as block:
            watched = way()
        steps = {r.name for r in block.records if "step_000/updates" in r.name}
        told[name] = plainly == watched, len(steps), [plainly, watched]
    print(json.dumps(told))
"""

AVERAGED = """
    def averaged(*methods):
        keras.backend.clear_session()
        made = net()
        made.compile(keras.optimizers.Adam(0.1, use_ema=True), "mse")
        made.fit(X, Y, batch_size=4, verbose=0)
        said = []
        for method in methods:
            try:
                said.append(np.asarray(method(made)).tolist())
            except Exception as error:
                said.append(type(error).__name__)
        return said


    def evaluate(made):
        return made.evaluate(X, Y, verbose=0)


    def predict(made):
        return made.predict(X, verbose=0)


    def fit(made):
        return made.fit(X, Y, batch_size=4, verbose=0).history["loss"]


    WAYS = {
        "shared": lambda: averaged(fit),
        "deleted": lambda: averaged(evaluate, predict, evaluate),
    }
"""


def ran(run_python: Any, code: str, backend: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run_python(BEGIN + code + END, backend).splitlines()[-1])
    return told


def test_a_weight_and_its_average_may_be_one_array(run_python: Any) -> None:
    """Keras 3.15.1 gives jax such an array twice, which refuses it: the test hears of that."""
    told = ran(run_python, AVERAGED, "jax")
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told


RIVALS = """
    import tensorflow as tf


    class Rivals(keras.Model):
        def __init__(self):
            super().__init__()
            self.maker, self.judge = net(6), net()
            self.built = True

        def compile(self):
            super().compile()
            self.first, self.second = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02)

        def call(self, inputs):
            return self.judge(self.maker(inputs))

        def train_step(self, batch):
            real = batch[0] if isinstance(batch, tuple) else batch
            for optimizer, part in ((self.first, self.judge), (self.second, self.maker)):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(tf.square(self(real)))
                gradients = tape.gradient(loss, part.trainable_variables)
                optimizer.apply_gradients(zip(gradients, part.trainable_variables))
            return {"loss": loss}


    def rivals(train):
        made = Rivals()
        made.compile()
        train(made)
        own = [*made.first.variables, *made.second.variables]
        return numbers(made.weights), numbers(own), len(made.optimizer.variables)


    def spread(train):
        with tf.distribute.MirroredStrategy().scope():
            made = net()
            made.compile("adam", "mse")
        train(made)
        return numbers(made.weights)


    def batches(made):
        for _ in range(3):
            made.train_on_batch(X, Y)


    def fit(made):
        made.fit(X, Y, batch_size=4, shuffle=False, verbose=0)


    WAYS = {
        f"{kind.__name__} {train.__name__}": lambda kind=kind, train=train: kind(train)
        for kind in (rivals, spread)
        for train in (batches, fit)
    }
"""


@pytest.mark.tensorflow
def test_optimizers_of_tensorflow_are_left_as_the_steps_left_them(run_python: Any) -> None:
    told = ran(run_python, RIVALS, "tensorflow")
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told
    assert all(steps for _, steps, _ in told.values())


REMEMBERED = """
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.scale, self.traced = keras.layers.Dense(1), 1.0, 0

        def call(self, inputs):
            self.traced += 1
            if self.scale is None:
                raise ValueError("no scale")
            return self.dense(inputs) * self.scale


    def scaled(**options):
        made = Scaled()
        made(X)
        made.compile(keras.optimizers.Adam(0.1), "mse", **options)
        return made


    def fit(made, size=4):
        return made.fit(X, Y, batch_size=size, shuffle=False, verbose=0).history["loss"]


    def evaluate(made, size=4):
        return made.evaluate(X, Y, batch_size=size, verbose=0)


    def on_batch(made, size=4):
        return float(made.train_on_batch(X[:size], Y[:size]))


    def one(made):
        return made.predict_on_batch(X).tolist()


    def told_of(made, *calls, scales=(1.0, 3.0, 5.0)):
        said = []
        for scale in scales:
            made.scale = scale
            for call in calls:
                try:
                    said.append(call(made))
                except Exception as error:
                    said.append(type(error).__name__)
        return said, made.traced, numbers(made.weights)


    def switched(*calls):
        made = scaled()
        said = [call(made) for call in calls]
        made.run_eagerly = True
        return said, told_of(made, *calls)


    WAYS = {
        "fit": lambda: told_of(scaled(), fit),
        "sizes": lambda: told_of(scaled(), fit, lambda made: fit(made, 3)),
        "evaluate": lambda: told_of(scaled(), evaluate),
        "both": lambda: told_of(scaled(), fit, evaluate),
        "batch before": lambda: told_of(scaled(), on_batch, fit),
        "batch behind": lambda: told_of(scaled(), fit, on_batch, lambda made: on_batch(made, 8)),
        "failed": lambda: told_of(scaled(), fit, scales=(None, 1.0, 2.0)),
        "failed batch": lambda: told_of(scaled(), on_batch, scales=(None, 1.0, 2.0)),
        "switched": lambda: switched(fit),
        "switched batch": lambda: switched(on_batch, one),
    }
    if keras.backend.backend() == "tensorflow":
        WAYS["xla"] = lambda: told_of(scaled(jit_compile=True), fit)
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_what_was_traced_runs_on(run_python: Any, backend: str) -> None:
    """Keras asks nobody whether a scale is another one, or a step should be eager by now."""
    told = ran(run_python, REMEMBERED, backend)
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told
    trained = {name for name, (_, steps, _) in told.items() if steps}
    assert trained >= told.keys() - {"evaluate", "failed", "failed batch"}


BROKEN = """
    def state(made):
        optimizer = made.optimizer
        return optimizer.built, len(optimizer.variables), numbers(optimizer.variables)


    def broken(*batches):
        made = net()
        made.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
        said = []
        for x, y in batches:
            try:
                said.append([float(one) for one in made.train_on_batch(x, y)])
            except Exception as error:
                said.append(type(error).__name__)
            said.append(state(made))
        return said, numbers(made.weights)


    class Late(keras.metrics.Mean):
        def update_state(self, *args, **kwargs):
            raise ValueError("late")


    def late():
        made = net()
        made.compile(keras.optimizers.Adam(0.1), "mse", metrics=[Late()])
        try:
            made.train_on_batch(X, Y)
        except Exception as error:
            return type(error).__name__, state(made)


    WAYS = {
        "width": lambda: broken((X[:, :2], Y)),
        "labels": lambda: broken((X, np.ones((3, 1), "float32"))),
        "words": lambda: broken((np.array([["a"] * 6]), Y[:1])),
        "then right": lambda: broken((X[:, :2], Y), (X, Y), (X, Y)),
        "right": lambda: broken((X, Y), (X[:, :2], Y), (X, Y)),
    }
    # TensorFlow has made variables then that hold nothing yet.
    if keras.backend.backend() != "tensorflow":
        WAYS["late"] = late
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_a_batch_that_breaks_leaves_the_optimizer_as_it_was(run_python: Any, backend: str) -> None:
    told = ran(run_python, BROKEN, backend)
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told
    # What TensorFlow traced of a batch that broke returns no metrics from then on: what would be
    # traced now is another program.
    begun = {"right"} if backend == "tensorflow" else {"then right", "right"}
    assert {name for name, (_, steps, _) in told.items() if steps} == begun


COUNTED = """
    BACKEND = keras.backend.backend()


    def zero():
        if BACKEND == "tensorflow":
            import tensorflow as tf
            return tf.Variable(0.0)
        if BACKEND == "torch":
            import torch
            return torch.zeros(())
        return keras.ops.zeros(())


    def one_more(count):
        if BACKEND == "tensorflow":
            return count.assign_add(1.0)
        return count.add_(1.0) if BACKEND == "torch" else count


    HELD = zero()


    class Counted(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.count, self.several, self.last = net(), zero(), [zero()], zero()

        def call(self, inputs):
            for count in (self.count, self.several[0], HELD):
                one_more(count)
            if BACKEND == "torch":
                self.last = self.last + 1.0
            return self.dense(inputs)


    def counted(eagerly):
        before, made = float(HELD), Counted()
        made.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eagerly)
        made.train_on_batch(X, Y)
        made.test_on_batch(X, Y)
        made.predict(X, verbose=0)
        made.fit(X, Y, verbose=0)
        held = made.count, made.several[0], made.last
        return [float(one) for one in held], float(HELD) - before


    WAYS = {"compiled": lambda: counted(False), "eagerly": lambda: counted(True)}
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_numbers_that_a_step_counts_in_are_as_many(run_python: Any, backend: str) -> None:
    """In tensors of the backend's own, of which Keras knows nothing."""
    told = ran(run_python, COUNTED, backend)
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told


FROZEN = """
    def frozen(most):
        made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(1)])
        made.layers[0].trainable = False
        made.compile("adam", "mse")
        losses = []
        for trainable in (False, True, True, False)[:most]:
            made.layers[0].trainable = trainable
            losses += made.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history["loss"]
        return losses, numbers(made.weights)


    WAYS = {"once more": lambda: frozen(2), "often": lambda: frozen(4)}
"""


@pytest.mark.tensorflow
def test_what_is_set_free_without_compiling_is_not_trained_there(run_python: Any) -> None:
    """Keras warns of it, and TensorFlow runs the step on that it traced before."""
    told = ran(run_python, FROZEN, "tensorflow")
    assert {name: same for name, (same, *_) in told.items()} == dict.fromkeys(told, True), told
