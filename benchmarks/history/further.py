"""Calls of the layers of `keras.layers` that `layers` leaves out: what draws random numbers, what
moves numbers about, dimensions and cells. What wraps another framework's layer, or turns words into
numbers, is not here."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from history.layers import (
    CASES,
    IMAGE,
    LINE,
    PADDING,
    RECURRENT,
    SEQUENCE,
    TOKENS,
    VOLUME,
    Case,
    layer,
    normal,
    wrapped,
)

PHOTO = np.floor(np.abs(normal(2, 16, 16, 3, seed=5)) * 80).clip(0, 255).astype(np.float32)
LABELS = {"images": PHOTO, "labels": np.eye(2, dtype=np.float32)}
FILM = normal(2, 4, 5, 6, 6, 3)
TRAINING = {"training": True}


def augmented(name: str, *arguments: Any, **options: Any) -> Case:
    return Case(layer(name, *arguments, seed=1, **options), (PHOTO,), TRAINING)


def dropped(name: str, *arguments: Any, given: Any = SEQUENCE) -> Case:
    return Case(layer(name, *arguments, seed=1), (given,), TRAINING)


def celled(*names: str) -> Any:
    return lambda policy: keras.layers.RNN(
        [getattr(keras.layers, name)(6, dtype=policy, **RECURRENT) for name in names],
        return_sequences=True,
        dtype=policy,
    )


DRAWING: dict[str, Case] = {
    "Dropout": dropped("Dropout", 0.4),
    "AlphaDropout": dropped("AlphaDropout", 0.3),
    "GaussianDropout": dropped("GaussianDropout", 0.3),
    "GaussianNoise": dropped("GaussianNoise", 0.5),
    "SpatialDropout1D": dropped("SpatialDropout1D", 0.4),
    "SpatialDropout2D": dropped("SpatialDropout2D", 0.4, given=IMAGE),
    "SpatialDropout3D": dropped("SpatialDropout3D", 0.4, given=VOLUME),
    "RandomBrightness": augmented("RandomBrightness", 0.3),
    "RandomColorDegeneration": augmented("RandomColorDegeneration", 0.5),
    "RandomColorJitter": augmented(
        "RandomColorJitter", brightness_factor=0.2, contrast_factor=0.2, saturation_factor=0.2),
    "RandomContrast": augmented("RandomContrast", 0.3),
    "RandomCrop": augmented("RandomCrop", 9, 10),
    "RandomElasticTransform": augmented("RandomElasticTransform", 1.0),
    "RandomErasing": augmented("RandomErasing", 1.0),
    "RandomFlip": augmented("RandomFlip"),
    "RandomGaussianBlur": augmented("RandomGaussianBlur", 1.0, 3, 1.0),
    "RandomGrayscale": augmented("RandomGrayscale", 0.5),
    "RandomHue": augmented("RandomHue", 0.2),
    "RandomInvert": augmented("RandomInvert", 0.5),
    "RandomPerspective": augmented("RandomPerspective", 1.0, 0.5),
    "RandomPosterization": augmented("RandomPosterization", 4),
    "RandomRotation": augmented("RandomRotation", 0.1),
    "RandomSaturation": augmented("RandomSaturation", 0.4),
    "RandomSharpness": augmented("RandomSharpness", 0.5),
    "RandomShear": augmented("RandomShear", 0.3, 0.3),
    "RandomTranslation": augmented("RandomTranslation", 0.2, 0.2),
    "RandomZoom": augmented("RandomZoom", 0.3),
    "Solarization": augmented("Solarization", 0.2, 0.4),
    "AugMix": augmented("AugMix"),
    "RandAugment": augmented("RandAugment"),
    "MixUp": Case(layer("MixUp", seed=1), (LABELS,), TRAINING),
    "CutMix": Case(layer("CutMix", seed=1), (LABELS,), TRAINING),
}  # fmt: skip
"""What draws random numbers: between backends from one stream."""

STILL: dict[str, Case] = {
    "ActivityRegularization": Case(layer("ActivityRegularization", 0.1, 0.1), (SEQUENCE,)),
    "AdaptiveAveragePooling1D": Case(layer("AdaptiveAveragePooling1D", 5), (LINE,)),
    "AdaptiveAveragePooling2D": Case(layer("AdaptiveAveragePooling2D", 5), (IMAGE,)),
    "AdaptiveAveragePooling3D": Case(layer("AdaptiveAveragePooling3D", 4), (VOLUME,)),
    "AdaptiveMaxPooling1D": Case(layer("AdaptiveMaxPooling1D", 5), (LINE,)),
    "AdaptiveMaxPooling2D": Case(layer("AdaptiveMaxPooling2D", 5), (IMAGE,)),
    "AdaptiveMaxPooling3D": Case(layer("AdaptiveMaxPooling3D", 4), (VOLUME,)),
    "Add": Case(layer("Add"), ([SEQUENCE, SEQUENCE * 3, -SEQUENCE],)),
    "Subtract": Case(layer("Subtract"), ([SEQUENCE, SEQUENCE * 3],)),
    "Maximum": Case(layer("Maximum"), ([SEQUENCE, SEQUENCE * 3],)),
    "Minimum": Case(layer("Minimum"), ([SEQUENCE, SEQUENCE * 3],)),
    "Concatenate": Case(layer("Concatenate"), ([SEQUENCE, SEQUENCE * 3],)),
    "AutoContrast": Case(layer("AutoContrast"), (PHOTO,)),
    "Equalization": Case(layer("Equalization"), (PHOTO,)),
    "ContrastLimitedAdaptiveHistogramEqualization": Case(
        layer("ContrastLimitedAdaptiveHistogramEqualization"), (PHOTO,)),
    "Conv3DTranspose": Case(layer("Conv3DTranspose", 4, 3, strides=2, padding="same"), (VOLUME,)),
    "ConvLSTM1D": Case(layer("ConvLSTM1D", 4, 3, **RECURRENT), (FILM[:, :, 0, 0],)),
    "ConvLSTM3D": Case(layer("ConvLSTM3D", 4, 3, **RECURRENT), (FILM,)),
    "Cropping1D": Case(layer("Cropping1D", 2), (LINE,)),
    "Cropping2D": Case(layer("Cropping2D", 2), (IMAGE,)),
    "Cropping3D": Case(layer("Cropping3D", 1), (VOLUME,)),
    "Flatten": Case(layer("Flatten"), (IMAGE,)),
    "GlobalAveragePooling1D": Case(layer("GlobalAveragePooling1D"), (LINE,)),
    "GlobalAveragePooling3D": Case(layer("GlobalAveragePooling3D"), (VOLUME,)),
    "GlobalMaxPooling1D": Case(layer("GlobalMaxPooling1D"), (LINE,)),
    "GlobalMaxPooling3D": Case(layer("GlobalMaxPooling3D"), (VOLUME,)),
    "Hashing": Case(lambda _: keras.layers.Hashing(11), (TOKENS,)),
    "HashedCrossing": Case(
        lambda _: keras.layers.HashedCrossing(11), ((TOKENS[:, 0], TOKENS[:, 1]),)),
    "Identity": Case(layer("Identity"), (SEQUENCE,)),
    "IntegerLookup": Case(layer("IntegerLookup", vocabulary=[3, 7, 14, 21]), (TOKENS,)),
    "Masking": Case(layer("Masking"), (SEQUENCE * PADDING[..., None],)),
    "MaxPooling1D": Case(layer("MaxPooling1D", 3, 2, padding="same"), (LINE,)),
    "MaxPooling3D": Case(layer("MaxPooling3D", 3, 2, padding="same"), (VOLUME,)),
    "Permute": Case(layer("Permute", (2, 1)), (SEQUENCE,)),
    "RNN, cells of three kinds": Case(celled("GRUCell", "LSTMCell", "SimpleRNNCell"), (SEQUENCE,)),
    "RepeatVector": Case(layer("RepeatVector", 3), (SEQUENCE[:, 0],)),
    "Reshape": Case(layer("Reshape", (32, 16)), (SEQUENCE,)),
    "ReversibleEmbedding": Case(layer("ReversibleEmbedding", 50, 32), (TOKENS,)),
    "ReversibleEmbedding, reverse": Case(
        layer("ReversibleEmbedding", 50, 32), (SEQUENCE,), {"reverse": True}),
    "TimeDistributed, masked": Case(
        wrapped("TimeDistributed", layer("Dense", 5)), (SEQUENCE,), {"mask": PADDING}),
    "UpSampling1D": Case(layer("UpSampling1D", 2), (LINE,)),
    "UpSampling3D": Case(layer("UpSampling3D", 2), (VOLUME,)),
    "ZeroPadding1D": Case(layer("ZeroPadding1D", 2), (LINE,)),
    "ZeroPadding3D": Case(layer("ZeroPadding3D", 1), (VOLUME,)),
}  # fmt: skip

EVERY = {**CASES, **STILL, **DRAWING}
