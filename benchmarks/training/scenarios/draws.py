"""What is drawn from a fixed seed: initializers, `keras.random`, dropout and noise layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from history.layers import IMAGE, SEQUENCE, VOLUME

from training.scenarios.scenario import Named, Scenario, alike, floats

FAMILIES = [f"{name}{kind}" for name in ("Glorot", "He", "Lecun") for kind in ("Normal", "Uniform")]
INITIALIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {"seed": 7}) for name in (
        *FAMILIES, "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "Orthogonal")},
    **{f"VarianceScaling, {mode}, {shape}": (
        "VarianceScaling", {"seed": 7, "scale": 2.0, "mode": mode, "distribution": shape})
       for mode in ("fan_in", "fan_out", "fan_avg")
       for shape in ("normal", "truncated_normal", "untruncated_normal", "uniform")},
    "RandomNormal, mean stddev": ("RandomNormal", {"seed": 7, "mean": 0.3, "stddev": 2.0}),
    "RandomUniform, range": ("RandomUniform", {"seed": 7, "minval": 0.0, "maxval": 3.0}),
    "TruncatedNormal, mean stddev": ("TruncatedNormal", {"seed": 7, "mean": 0.3, "stddev": 2.0}),
    "Orthogonal, gain": ("Orthogonal", {"seed": 7, "gain": 2.0}),
    "GlorotUniform, no seed": ("GlorotUniform", {}),
    "Orthogonal, no seed": ("Orthogonal", {}),
    "Zeros": ("Zeros", {}),
    "Ones": ("Ones", {}),
    "Constant": ("Constant", {"value": 0.3}),
    "Identity": ("Identity", {"gain": 2.0}),
    "STFT": ("STFT", {"side": "real", "window": "hann"}),
}  # fmt: skip
SHAPES = {"Identity": [(8, 8)], "STFT": [(16, 1, 9)]}


def initializer(name: str, options: dict[str, Any]) -> Scenario:
    def run() -> Named:
        draw = getattr(keras.initializers, name)(**options)
        shapes = SHAPES.get(name, [(16, 12), (3, 3, 4, 8), (20, 30)])
        return {f"drawn {shape}": draw(shape, "float32") for shape in shapes}

    return alike(run, twin=False)


def seeded() -> Scenario:
    """An initializer with a generator of seeds draws twice."""

    def run() -> Named:
        draw = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(3))
        return {"first": draw((8, 6)), "second": draw((8, 6))}

    return alike(run, twin=False)


LOGITS = floats(5, 7, seed=11)


def tensor() -> Any:
    return keras.ops.convert_to_tensor(floats(40, 5))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "normal": lambda seed: keras.random.normal((40, 5), seed=seed),
    "normal, mean stddev": lambda seed: keras.random.normal((40, 5), 0.5, 2.0, seed=seed),
    "uniform": lambda seed: keras.random.uniform((40, 5), seed=seed),
    "uniform, range": lambda seed: keras.random.uniform((40, 5), -2.0, 3.0, seed=seed),
    "uniform, bfloat16": lambda seed: keras.random.uniform((40, 5), dtype="bfloat16", seed=seed),
    "normal, bfloat16": lambda seed: keras.random.normal((40, 5), dtype="bfloat16", seed=seed),
    "truncated_normal": lambda seed: keras.random.truncated_normal((40, 5), seed=seed),
    "randint": lambda seed: keras.random.randint((40, 5), 0, 100, seed=seed),
    "categorical": lambda seed: keras.random.categorical(LOGITS, 30, seed=seed),
    "dropout": lambda seed: keras.random.dropout(tensor(), 0.3, seed=seed),
    "dropout, noise_shape": lambda seed: keras.random.dropout(
        tensor(), 0.3, noise_shape=(40, 1), seed=seed),
    "shuffle": lambda seed: keras.random.shuffle(np.arange(40).reshape(20, 2), seed=seed),
    "shuffle, axis 1": lambda seed: keras.random.shuffle(
        np.arange(40).reshape(2, 20), axis=1, seed=seed),
    "gamma": lambda seed: keras.random.gamma((40, 5), 2.0, seed=seed),
    "beta": lambda seed: keras.random.beta((40, 5), 2.0, 3.0, seed=seed),
    "binomial": lambda seed: keras.random.binomial((40, 5), 9.0, 0.3, seed=seed),
}  # fmt: skip


def function(draw: Callable[[Any], Any]) -> Scenario:
    """With a whole number as the seed, and twice with a generator."""

    def run() -> Named:
        generator = keras.random.SeedGenerator(5)
        return {"seed": draw(5), "first": draw(generator), "second": draw(generator)}

    return alike(run, twin=False)


def global_seed() -> Named:
    """Draws without a seed of their own, behind `set_random_seed`."""
    keras.utils.set_random_seed(9)
    return {"first": keras.random.normal((8, 4)), "second": keras.random.uniform((8, 4))}


LAYERS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], Any]] = {
    "Dropout": ("Dropout", (0.3,), {}, SEQUENCE),
    "Dropout, noise_shape": ("Dropout", (0.3,), {"noise_shape": (4, 1, 32)}, SEQUENCE),
    "SpatialDropout1D": ("SpatialDropout1D", (0.3,), {}, SEQUENCE),
    "SpatialDropout2D": ("SpatialDropout2D", (0.3,), {}, IMAGE),
    "SpatialDropout3D": ("SpatialDropout3D", (0.3,), {}, VOLUME),
    "GaussianDropout": ("GaussianDropout", (0.3,), {}, SEQUENCE),
    "GaussianNoise": ("GaussianNoise", (0.3,), {}, SEQUENCE),
    "AlphaDropout": ("AlphaDropout", (0.3,), {}, SEQUENCE),
    "MultiHeadAttention, dropout": ("MultiHeadAttention", (4, 8), {"dropout": 0.3}, SEQUENCE),
    "LSTM, dropout": ("LSTM", (8,), {"dropout": 0.3, "recurrent_dropout": 0.2}, SEQUENCE),
    "GRU, dropout": ("GRU", (8,), {"dropout": 0.3, "recurrent_dropout": 0.2}, SEQUENCE),
    "SimpleRNN, dropout": ("SimpleRNN", (8,), {"dropout": 0.3, "recurrent_dropout": 0.2}, SEQUENCE),
    "ConvLSTM1D, dropout": ("ConvLSTM1D", (4, 3), {"dropout": 0.3}, IMAGE),
    "RandomFlip": ("RandomFlip", (), {}, IMAGE),
    "RandomRotation": ("RandomRotation", (0.2,), {}, IMAGE),
    "RandomTranslation": ("RandomTranslation", (0.2, 0.2), {}, IMAGE),
    "RandomZoom": ("RandomZoom", (0.2,), {}, IMAGE),
    "RandomContrast": ("RandomContrast", (0.2,), {}, IMAGE),
    "RandomBrightness": ("RandomBrightness", (0.2,), {}, IMAGE[..., :3].copy()),
    "RandomCrop": ("RandomCrop", (8, 8), {}, IMAGE),
}  # fmt: skip
WITHOUT_POLICY = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "MultiHeadAttention")


def layer(name: str, arguments: tuple[Any, ...], options: dict[str, Any], given: Any) -> Scenario:
    """Two calls in training, and one that is not."""

    def run() -> Named:
        from training.scenarios.scenario import filled

        made = getattr(keras.layers, name)(*arguments, seed=7, **options)
        inputs = (given, given) if name == "MultiHeadAttention" else (given,)
        made(*inputs)
        if name in WITHOUT_POLICY:
            filled(made)
        calls = {key: made(*inputs, training=True) for key in ("first", "second")}
        return {**calls, "inference": made(*inputs, training=False)}

    return alike(run, twin=False)


SCENARIOS: dict[str, Scenario] = {
    **{f"initializer: {name}": initializer(*of) for name, of in INITIALIZERS.items()},
    "initializer: GlorotUniform, SeedGenerator": seeded(),
    **{f"random: {name}": function(draw) for name, draw in FUNCTIONS.items()},
    "random: behind set_random_seed": alike(global_seed, twin=False),
    **{f"dropout and noise: {name}": layer(*of) for name, of in LAYERS.items()},
}
