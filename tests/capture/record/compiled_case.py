"""Run in a process of its own: what a backend compiles, beside a plain run."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras import layers

from pytest_keras_golden.capture.block import CaptureBlock, capture_block
from pytest_keras_golden.capture.state.weights import fill_weights
from pytest_keras_golden.capture.tap.request import Request

INPUTS = np.random.default_rng(0).normal(size=(7, 6, 8)).astype("float32")
TARGETS = np.zeros((7, 6, 5), "float32")
OUTPUT = "head"


def model_of(kind: str, dtype: str) -> keras.Model:
    with_dtype = {"dtype": dtype}
    if kind == "sequential":
        made = keras.Sequential(
            [
                layers.Input((6, 8), **with_dtype),
                layers.Dense(8, activation="gelu", **with_dtype),
                layers.BatchNormalization(**with_dtype),
                layers.Dense(5, name=OUTPUT, **with_dtype),
            ]
        )
    else:
        made = Subclassed(dtype)
        made(INPUTS[:1])
    fill_weights(made)
    made.compile("sgd", "mse", metrics=["mae"])
    return made


class Subclassed(keras.Model):
    def __init__(self, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.attention = layers.MultiHeadAttention(2, 4, dtype=dtype)
        self.norm = layers.LayerNormalization(dtype=dtype)
        self.dropout = layers.Dropout(0.3, dtype=dtype)
        self.head = layers.Dense(5, dtype=dtype)

    def call(self, inputs: object, training: bool = False) -> object:
        x = self.norm(inputs + self.attention(inputs, inputs))
        return self.head(self.dropout(x, training=training))


def captured(model: keras.Model, call: object, select: tuple[str, ...] = ("all",)) -> CaptureBlock:
    with capture_block(model, Request(select)) as block:
        block.returned = call()
    return block


def check(kind: str, dtype: str) -> None:
    backend = keras.backend.backend()
    # What runs eagerly runs once, and watching changes nothing there.
    mode = "compiled" if backend in ("jax", "tensorflow") else "eager"
    observer = "identical" if mode == "compiled" else None
    model = model_of(kind, dtype)
    plain = model.predict(INPUTS, batch_size=3, verbose=0)
    block = captured(model, lambda: model.predict(INPUTS, batch_size=3, verbose=0))
    values = {record.name: record for record in block.records}
    assert (block.mode, block.observer) == (mode, observer), (block.mode, block.observer)
    assert np.array_equal(plain, block.returned)
    assert values[OUTPUT].value.shape == (7, 6, 5)
    assert values[OUTPUT].precision == dtype
    assert np.array_equal(values[OUTPUT].value.astype("float32"), plain.astype("float32"))
    assert block.isolation == "complete"
    assert {call.name for call in block.calls} >= {OUTPUT}
    eager = captured(model, lambda: model(INPUTS))
    assert list(values) == [record.name for record in eager.records]
    if backend != "numpy":
        check_training(kind, dtype, mode, observer)


def check_training(kind: str, dtype: str, mode: str, observer: str | None) -> None:
    keras.utils.set_random_seed(1)
    alone = model_of(kind, dtype)
    losses = alone.train_on_batch(INPUTS, TARGETS)
    keras.utils.set_random_seed(1)
    model = model_of(kind, dtype)
    block = captured(model, lambda: model.train_on_batch(INPUTS, TARGETS))
    assert (block.mode, block.observer) == (mode, observer), (block.mode, block.observer)
    assert block.returned == losses
    for mine, other in zip(model.weights, alone.weights, strict=True):
        same = np.asarray(keras.ops.convert_to_numpy(mine) == keras.ops.convert_to_numpy(other))
        assert same.all(), mine.name
    names = [record.name for record in block.records]
    assert names[-2:] == ["train_on_batch[0]", "train_on_batch[1]"]
    assert OUTPUT in names
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1


def main() -> None:
    for kind in ("sequential", "subclassed"):
        for dtype in ("float32", "bfloat16"):
            check(kind, dtype)


if __name__ == "__main__":
    sys.exit(main())
