"""Weights by structural name: fingerprinted and filled alike on every release and backend."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from backends import EVERY
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.capture.state.weights import (
    fill_weights,
    fingerprints,
    input_fingerprints,
    named_weights,
)
from pytest_keras_golden.errors import CaptureError


class Tower(keras.Model):
    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(10, 8)
        self._blocks = [keras.layers.Dense(8, activation="gelu") for _ in range(2)]
        self.by_name = {"head": keras.layers.Dense(3)}
        self.dropout = keras.layers.Dropout(0.5)
        self.norm = keras.layers.BatchNormalization()
        self.shared = self._blocks[0]  # a shorter path than blocks/0
        self.steps = [self.add_weight(shape=(2,), name="step") for _ in range(2)]

    def call(self, tokens):
        x = self.embedding(tokens)
        for block in self._blocks:
            x = x + block(self.dropout(x))
        return self.by_name["head"](self.norm(x))


@pytest.fixture
def tower():
    model = Tower()
    model(np.arange(10)[None])
    return model


def test_names_follow_attributes_and_leave_seeds_and_metrics_out(tower):
    tower.compile(loss="mse", metrics=["mae"])
    assert sorted(named_weights(tower)) == [
        "blocks/1/bias",
        "blocks/1/kernel",
        "by_name/head/bias",
        "by_name/head/kernel",
        "embedding/embeddings",
        "norm/beta",
        "norm/gamma",
        "norm/moving_mean",
        "norm/moving_variance",
        "shared/bias",
        "shared/kernel",
        "steps/0",
        "steps/1",
    ]


def test_fill_is_the_same_for_a_second_model_and_another_for_another_seed(tower):
    other = Tower()
    other(np.arange(10)[None])
    assert fingerprints(tower) != fingerprints(other)
    fill_weights(tower, seed=1)
    fill_weights(other, seed=1)
    assert fingerprints(tower) == fingerprints(other)
    fill_weights(other, seed=2)
    assert set(fingerprints(tower).values()).isdisjoint(fingerprints(other).values())


def test_scales_keep_activations_of_order_one(tower):
    fill_weights(tower)
    values = {name: np.asarray(weight) for name, weight in named_weights(tower).items()}
    assert 0.5 < values["blocks/1/kernel"].std() * np.sqrt(8) < 1.5
    assert (values["norm/moving_variance"] > 0).all()
    assert abs(values["norm/gamma"] - 1).max() <= 0.125
    assert 0.1 < np.asarray(tower(np.arange(10)[None])).std() < 10


def test_the_variance_that_a_normalization_adapts_is_positive():
    layer = keras.layers.Normalization()
    layer.build((None, 40))
    fill_weights(layer)
    assert (np.asarray(layer.adapt_variance) > 0).all()
    assert np.abs(np.asarray(layer.adapt_mean)).max() <= 0.125


def test_bf16_is_the_fp32_fill_rounded_once():
    values = {}
    for dtype in ("float32", "bfloat16"):
        layer = keras.layers.Dense(7, dtype=dtype)
        layer.build((None, 5))
        fill_weights(layer)
        values[dtype] = np.asarray(layer.kernel.value)
    assert values["bfloat16"].dtype.name == "bfloat16"
    assert np.array_equal(values["float32"].astype("bfloat16"), values["bfloat16"])


class Counting(keras.layers.Dropout):
    def build(self, input_shape):
        self.count = self.add_weight(shape=(), dtype="int32", initializer="ones", trainable=False)


def test_integer_weights_and_seeds_stay():
    layer = Counting(0.5)
    layer.build((2, 2))
    seed = np.asarray(layer.seed_generator.state)
    fill_weights(layer)
    assert list(named_weights(layer)) == ["count"]
    assert int(layer.count.value) == 1
    assert np.array_equal(seed, np.asarray(layer.seed_generator.state))


def test_an_unbuilt_model_is_an_error():
    with pytest.raises(CaptureError, match="not built"):
        fill_weights(Tower())


def test_inputs_by_place():
    tokens = np.arange(3)
    names = input_fingerprints(({"ids": tokens}, [1.5, 2]), {"mask": tokens > 1, "training": True})
    assert list(names) == ["[0][ids]", "[1][0]", "[1][1]", "[mask]"]
    assert names["[0][ids]"] != names["[mask]"]


@given(st.lists(st.integers(1, 9), max_size=3), st.integers(0, 2**40), st.text("ab/", max_size=5))
def test_values_depend_on_name_shape_and_seed_only(shape, seed, name):
    from pytest_keras_golden.capture.state.weights import _values

    first = _values(name, tuple(shape), seed, None)
    assert np.array_equal(first, _values(name, tuple(shape), seed, None))
    assert first.shape == tuple(shape)
    assert np.isfinite(first).all()


GOLDEN_FILL = """
    import hashlib, keras, numpy as np
    from keras import layers
    from pytest_keras_golden.capture.state.weights import fill_weights, fingerprints
    digests = hashlib.sha256()
    for dtype in ("float32", "bfloat16"):
        i = layers.Input((6, 8), dtype=dtype)
        x = layers.MultiHeadAttention(2, 4, dtype=dtype)(i, i)
        x = layers.BatchNormalization(dtype=dtype)(x)
        if dtype == "float32":
            x = layers.Bidirectional(layers.GRU(3))(layers.LSTM(5, return_sequences=True)(x))
        x = layers.Dense(3, dtype=dtype)(x)
        model = keras.Model(i, x)
        fill_weights(model, 3)
        for pair in sorted(fingerprints(model).items()):
            digests.update("=".join(pair).encode())
    print(keras.__version__, digests.hexdigest()[:16])
"""

FILL = "cc3f43bb542d37e1"
"""What this fill has always been: suites' goldens depend on it."""


@pytest.mark.processes
@pytest.mark.parametrize("backend", EVERY)
def test_the_fill_never_changes(run_python, backend):
    assert run_python(GOLDEN_FILL, backend).split()[-1] == FILL


OVERLAYS = os.environ.get("KERAS_GOLDEN_OVERLAYS", "")


@pytest.mark.overlay
@pytest.mark.skipif(not OVERLAYS, reason="KERAS_GOLDEN_OVERLAYS names no folder of overlays")
@pytest.mark.parametrize("release", ["3.0.5", "3.3.3", "3.5.0", "3.7.0", "3.10.0"])
def test_the_fill_is_the_same_on_every_release(run_python, release):
    printed = run_python(GOLDEN_FILL, "numpy", overlay=Path(OVERLAYS) / release)
    assert printed.split() == [release, FILL]
