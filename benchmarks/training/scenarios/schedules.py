"""Learning rate schedules, regularizers and constraints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from training.scenarios.autodiff import gradients
from training.scenarios.scenario import Named, Scenario, alike, floats

STEPS = (0, 1, 2, 3, 5, 8, 10, 13, 20, 21, 34, 50, 55, 99, 100, 144, 1000)

SCHEDULES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "ExponentialDecay": ("ExponentialDecay", (0.1, 10, 0.9), {}),
    "ExponentialDecay, staircase": ("ExponentialDecay", (0.1, 10, 0.9), {"staircase": True}),
    "PiecewiseConstantDecay": ("PiecewiseConstantDecay", ([5, 20, 99], [0.1, 0.05, 0.2, 0.01]), {}),
    "PolynomialDecay": ("PolynomialDecay", (0.1, 50), {"power": 2.0}),
    "PolynomialDecay, cycle": ("PolynomialDecay", (0.1, 50, 0.01), {"cycle": True}),
    "InverseTimeDecay": ("InverseTimeDecay", (0.1, 10, 0.5), {}),
    "InverseTimeDecay, staircase": ("InverseTimeDecay", (0.1, 10, 0.5), {"staircase": True}),
    "CosineDecay": ("CosineDecay", (0.1, 100), {}),
    "CosineDecay, alpha": ("CosineDecay", (0.1, 100), {"alpha": 0.1}),
    "CosineDecay, warmup": ("CosineDecay", (0.0, 90), {"warmup_target": 0.1, "warmup_steps": 10}),
    "CosineDecayRestarts": ("CosineDecayRestarts", (0.1, 20), {}),
    "CosineDecayRestarts, t_mul m_mul": (
        "CosineDecayRestarts", (0.1, 20), {"t_mul": 1.5, "m_mul": 0.8, "alpha": 0.05}),
}  # fmt: skip


def schedule(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Scenario:
    def run() -> Named:
        rate = getattr(keras.optimizers.schedules, name)(*arguments, **options)
        steps = [keras.ops.convert_to_tensor(np.int32(step)) for step in STEPS]
        return {"rates": keras.ops.stack([keras.ops.squeeze(rate(step)) for step in steps])}

    return alike(run)


REGULARIZERS: dict[str, Callable[[], Any]] = {
    "L1": lambda: keras.regularizers.L1(0.03),
    "L2": lambda: keras.regularizers.L2(0.03),
    "L1L2": lambda: keras.regularizers.L1L2(0.01, 0.02),
    "l2, as it comes": lambda: keras.regularizers.get("l2"),
    "OrthogonalRegularizer, rows": lambda: keras.regularizers.OrthogonalRegularizer(0.1, "rows"),
    "OrthogonalRegularizer, columns": lambda: keras.regularizers.OrthogonalRegularizer(
        0.1, "columns"
    ),
}


def regularizer(make: Callable[[], Any]) -> Scenario:
    return alike(lambda: gradients(lambda given: make()(given[0]), [floats(12, 8)]))


CONSTRAINTS: dict[str, Callable[[], Any]] = {
    "MaxNorm": lambda: keras.constraints.MaxNorm(1.5),
    "MaxNorm, axes": lambda: keras.constraints.MaxNorm(1.5, axis=[0, 1]),
    "NonNeg": keras.constraints.NonNeg,
    "UnitNorm": keras.constraints.UnitNorm,
    "UnitNorm, axis 1": lambda: keras.constraints.UnitNorm(axis=1),
    "MinMaxNorm": lambda: keras.constraints.MinMaxNorm(0.5, 1.5),
    "MinMaxNorm, rate": lambda: keras.constraints.MinMaxNorm(0.5, 1.5, rate=0.3),
}


def constraint(make: Callable[[], Any]) -> Scenario:
    return alike(lambda: {"constrained": make()(keras.ops.convert_to_tensor(floats(12, 8)))})


SCENARIOS: dict[str, Scenario] = {
    **{f"schedule: {name}": schedule(*of) for name, of in SCHEDULES.items()},
    **{f"regularizer: {name}": regularizer(make) for name, make in REGULARIZERS.items()},
    **{f"constraint: {name}": constraint(make) for name, make in CONSTRAINTS.items()},
}
