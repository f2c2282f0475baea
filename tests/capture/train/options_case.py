"""Ways to train, each run plain and watched: both leave the same bits. Prints a line for each."""

import os
import sys
from collections.abc import Callable

import keras
import numpy as np

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.tap.request import Request

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 6)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")
WEIGHTS = RNG.uniform(0.5, 2.0, size=20).astype("float32")
CLASSES = (np.arange(20) % 3).astype("int32")
FIT = {"batch_size": 8, "epochs": 2, "verbose": 0}
"""The last batch of each epoch has 4."""


def dense(units=1, policy="float32"):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="tanh", dtype=policy),
            keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Dropout(0.2, dtype=policy),
            keras.layers.Dense(units),
        ]
    )


def compiled(optimizer=None, made=None, loss="mse", **options):
    made = made or dense()
    measured = {"metrics": ["mae"] if loss == "mse" else []}
    made.compile(optimizer or keras.optimizers.SGD(0.01), loss, **measured, **options)
    return made


def fitted(made, *args, **options):
    made.fit(*args, **FIT, **options)
    return made


def scaled():
    """The first scale overflows float16: the step is skipped and the scale halved."""
    inner = keras.optimizers.SGD(0.01)
    scale = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**24)
    return fitted(compiled(scale, dense(policy="mixed_float16")), X * 100, Y)


def masked():
    made = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Embedding(7, 4, mask_zero=True),
            keras.layers.LSTM(3, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )
    tokens = (np.arange(100).reshape(20, 5) % 7).astype("int32")
    return fitted(compiled(made=made), tokens, np.ones((20, 5, 1), "float32"))


def several_outputs():
    entry = keras.Input((6,))
    hidden = keras.layers.Dense(4, name="shared", activity_regularizer="l2")(entry)
    outputs = {name: keras.layers.Dense(1, name=name)(hidden) for name in ("one", "two")}
    made = keras.Model(entry, outputs)
    made.compile("sgd", {"one": "mse", "two": "mae"}, loss_weights={"one": 1.0, "two": 0.5})
    return fitted(made, X, {"one": Y, "two": Y})


def class_weights():
    made = compiled(made=dense(3), loss="sparse_categorical_crossentropy")
    return fitted(made, X, CLASSES, class_weight={0: 1.0, 1: 2.0, 2: 0.5})


def data_set():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, at):
            return X[8 * at : 8 * at + 8], Y[8 * at : 8 * at + 8]

    made = compiled()
    made.fit(Batches(), epochs=2, verbose=0, shuffle=False)
    return made


class Custom(keras.Sequential):
    """Adds a loss of its own."""

    def compute_loss(self, *args, **kwargs):
        return 0.5 * super().compute_loss(*args, **kwargs)


def custom():
    layers = [keras.Input((6,)), keras.layers.Dense(1, kernel_regularizer="l2")]
    return fitted(compiled(made=Custom(layers)), X, Y)


WAYS: dict[str, Callable[[], keras.Model]] = {
    "loss scale": scaled,
    "accumulation": lambda: fitted(
        compiled(keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)), X, Y
    ),
    "average": lambda: fitted(
        compiled(keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=None)), X, Y
    ),
    "clipping": lambda: fitted(compiled(keras.optimizers.SGD(0.01, global_clipnorm=0.1)), X, Y),
    "compiled": lambda: fitted(compiled(jit_compile=BACKEND != "torch"), X, Y),
    "not compiled": lambda: fitted(compiled(jit_compile=False), X, Y),
    "eagerly": lambda: fitted(compiled(run_eagerly=True), X, Y),
    "several steps": lambda: fitted(compiled(steps_per_execution=2), X, Y),
    "sample weights": lambda: fitted(compiled(), X, Y, sample_weight=WEIGHTS),
    "class weights": class_weights,
    "masks": masked,
    "several outputs": several_outputs,
    "validation": lambda: fitted(compiled(), X, Y, validation_data=(X[:6], Y[:6], WEIGHTS[:6])),
    "data set": data_set,
    "custom": custom,
}

MUST_HAVE = {
    "loss scale": {"step_000/slots/dynamic_scale", "step_000/slots/step_counter"},
    "accumulation": {"step_001/applied/sequential/dense#0/kernel"},
    "average": {"weights/sequential/dense#0/kernel"},
    "clipping": {"step_002/applied/sequential/dense#0/kernel"},
    "several outputs": {"step_000/loss/mse", "step_000/loss/mae"},
    "validation": {"test_step_000/loss", "curve/val_loss"},
    "masks": {"step_000/gradients/sequential/embedding#0/embeddings"},
    "custom": {"step_000/loss"},
}
"""Beside `ALWAYS`."""

ALWAYS = {"step_000/loss", "step_001/updates/", "curve/loss"}
UNREADABLE = {
    "tensorflow": {
        "several steps": {"step_000/loss"},
    }
}
"""What nobody can look at from outside of a program."""
if BACKEND == "torch":
    # Keras has none on torch.
    del WAYS["several steps"]


def ran(way, watched):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    if not watched:
        return way(), set(), None
    with capture_block(None, Request(isolate=False)) as block:
        made = way()
    return made, {record.name for record in block.records}, block.observer


def bits(model):
    every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [keras.ops.convert_to_numpy(variable) for variable in every]


def main(wanted):
    for name, way in WAYS.items():
        if wanted and name not in wanted:
            continue
        plainly, _, _ = ran(way, False)
        watched, names, observer = ran(way, True)
        pairs = list(zip(bits(plainly), bits(watched), strict=True))
        differ = sum(not np.array_equal(one, other, equal_nan=True) for one, other in pairs)
        same = plainly.history.history == watched.history.history
        missing = {
            wanted
            for wanted in ALWAYS | MUST_HAVE.get(name, set())
            if not any(recorded.startswith(wanted) for recorded in names)
        } - UNREADABLE.get(BACKEND, {}).get(name, set())
        print(f"{name}: {differ} differ, history {same}, missing {sorted(missing)}, {observer}")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1:])
