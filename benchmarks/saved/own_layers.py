"""Classes of a user, apart from the builders: legacy files take any text that is the name of a
custom object for that object."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("saved")
class Gate(layers.Layer):
    """A custom layer with weights of its own and a layer inside."""

    def __init__(self, units: int, slope: float = 0.25, **rest: Any) -> None:
        super().__init__(**rest)
        self.units, self.slope = units, slope
        self.inner = layers.Dense(units, name="inner")

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(self.units,), initializer="ones", name="gain")
        self.inner.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        y = self.inner(x) * self.gain
        return keras.ops.maximum(y, self.slope * y)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "slope": self.slope}


@keras.saving.register_keras_serializable("saved")
class Subclassed(keras.Model):
    """No graph: layers as attributes, some in a list."""

    def __init__(self, units: int = 4, **rest: Any) -> None:
        super().__init__(**rest)
        self.units = units
        self.blocks = [layers.Dense(units, "relu"), layers.Dense(units, "tanh")]
        self.norm = layers.LayerNormalization(epsilon=1e-4)
        self.head = layers.Dense(2)

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
