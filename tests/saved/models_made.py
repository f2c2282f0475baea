"""Small saved models for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def dense_model(seed: int = 0) -> Any:
    """Two inputs: numbers, and ids of a table."""
    import keras

    from pytest_keras_golden.capture.state.weights import fill_weights

    numbers = keras.Input((4,), name="numbers")
    ids = keras.Input((5,), dtype="int32", name="ids")
    table = keras.layers.Embedding(7, 3)(ids)
    pooled = keras.layers.GlobalAveragePooling1D()(table)
    joined = keras.layers.Concatenate()([keras.layers.Dense(3, "relu")(numbers), pooled])
    outputs = keras.layers.Dense(2, name="head")(joined)
    model = keras.Model([numbers, ids], outputs)
    fill_weights(model, seed)
    return model


def saved_dense(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dense_model(seed).save(path)
    return path


def saved_bins(path: Path) -> Path:
    """Bins are numbers of the layer's dtype through 3.11.3, and int32 from 3.12.0 on."""
    import keras

    numbers = keras.Input((4,), name="numbers")
    layer = keras.layers.Discretization([-1.0, 0.0, 1.0], dtype="float32", name="bins")
    keras.Model(numbers, layer(numbers)).save(path)
    return path
