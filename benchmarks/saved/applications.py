"""The smallest member of each family of `keras.applications`, at the smallest image it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

FAMILIES: dict[str, dict[str, Any]] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {"minimalistic": True},
    "ResNet50": {},
    "ResNet50V2": {},
    # With its top, most of a file would be three matrices.
    "VGG16": {"include_top": False, "pooling": "avg"},
    "DenseNet121": {},
    "EfficientNetB0": {},
    "EfficientNetV2B0": {},
    "Xception": {"size": 71},
    "InceptionV3": {"size": 75},
    "InceptionResNetV2": {"size": 75},
    "NASNetMobile": {},
    "ConvNeXtTiny": {},
}


def _built(name: str, size: int = 32, **rest: Any) -> Any:
    classes = {} if "include_top" in rest else {"classes": 10}
    build = getattr(keras.applications, name)
    return build(weights=None, input_shape=(size, size, 3), **classes, **rest)


def calibrate(model: Any) -> None:
    """Statistics of eight images for those of BatchNormalization: with random ones some of these
    models compute the same whatever they see."""
    norms = [at for at in model.layers if isinstance(at, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    rescaled = any(isinstance(at, keras.layers.Rescaling) for at in model.layers)
    low, high = (0.0, 255.0) if rescaled else (-1.0, 1.0)
    noise = np.random.RandomState(0).uniform(low, high, (8, *model.input_shape[1:]))
    model(noise.astype("float32"), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


MODELS: dict[str, Callable[[], Any]] = {
    name: partial(_built, name, **rest) for name, rest in FAMILIES.items()
}
