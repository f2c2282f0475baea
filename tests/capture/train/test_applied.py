"""What an optimizer applies otherwise than it is given it: by which of its options."""

from __future__ import annotations

import keras
import pytest

from pytest_keras_golden.capture.train.blame import component_of, components_of


@pytest.mark.parametrize(
    ("options", "scaled", "component"),
    [
        ({"clipnorm": 1.0}, False, "clipping:Adam"),
        ({"gradient_accumulation_steps": 2}, False, "accumulation:Adam"),
        ({"gradient_accumulation_steps": 2, "clipvalue": 1.0}, False, "accumulation:Adam"),
        ({}, True, "optimizer:LossScaleOptimizer"),
        ({"global_clipnorm": 1.0}, True, "clipping:Adam"),
    ],
)
def test_the_component_that_changes_gradients_is_named_by_the_options_in_use(
    options: dict[str, float], scaled: bool, component: str
) -> None:
    optimizer = keras.optimizers.Adam(**options)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, "mse")
    made_of = components_of(model)
    assert component_of("applied", made_of) == component
    assert component_of("updates", made_of) == "optimizer:Adam"
    own = "optimizer:LossScaleOptimizer" if scaled else "optimizer:Adam"
    assert component_of("slots", made_of, "dynamic_scale") == own
    assert component_of("slots", made_of, "dense/kernel/momentum") == "optimizer:Adam"
