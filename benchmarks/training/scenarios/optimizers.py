"""Every optimizer with its options: three steps on fixed gradients and variables."""

from __future__ import annotations

from typing import Any

import keras

from training.scenarios.scenario import Named, Scenario, alike, floats, slots

SHAPES = ((16, 12), (12,), (20, 8), (3, 3, 4, 6))

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [{}, {"rho": 0.8, "momentum": 0.5}, {"centered": True}, {"epsilon": 1e-3}],
    "Adam": [{}, {"amsgrad": True}, {"epsilon": 1e-3}, {"beta_1": 0.8, "beta_2": 0.9}],
    "AdamW": [{}, {"weight_decay": 0.1}, {"amsgrad": True}],
    "Adamax": [{}, {"beta_1": 0.8, "beta_2": 0.9}],
    "Nadam": [{}, {"beta_1": 0.8, "beta_2": 0.9}],
    "Adadelta": [{}, {"rho": 0.8}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.5}],
    "Adafactor": [{}, {"relative_step": False}, {"beta_2_decay": -0.5, "clip_threshold": 0.5}],
    "Ftrl": [
        {},
        {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1},
        {"beta": 0.5, "l2_shrinkage_regularization_strength": 0.1},
        {"learning_rate_power": -0.3},
    ],
    "Lion": [{}, {"beta_1": 0.8, "beta_2": 0.9}],
    "Lamb": [{}, {"epsilon": 1e-3}],
    "Muon": [{}, {"nesterov": False}, {"ns_steps": 3}],
    "ScheduleFreeAdamW": [{}],
}
COMMON: list[dict[str, Any]] = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.5},
    {"weight_decay": 0.05},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"loss_scale_factor": 8.0},
]
RATE = 0.05


def steps(make: Any, count: int = 3) -> Named:
    """Weights after every step, and the slots behind the last."""
    variables = [
        keras.Variable(floats(*shape, seed=at), name=f"v{at}") for at, shape in enumerate(SHAPES)
    ]
    optimizer = make()
    made: dict[str, Any] = {}
    for step in range(count):
        drawn = [floats(*shape, seed=20 + 9 * step + at) for at, shape in enumerate(SHAPES)]
        grads = [keras.ops.convert_to_tensor(grad) for grad in drawn]
        optimizer.apply(grads, variables)
        for at, variable in enumerate(variables):
            made[f"step {step + 1}/variable {at}"] = keras.ops.convert_to_numpy(variable.value)
    last = {f"overwritten/{at}": variable for at, variable in enumerate(variables)}
    made |= slots(optimizer)
    if hasattr(optimizer, "finalize_variable_values"):
        optimizer.finalize_variable_values(variables)
        made |= last
    return made


def optimizer(name: str, **options: Any) -> Scenario:
    count = 5 if "gradient_accumulation_steps" in options else 3
    rated = {"learning_rate": RATE, **options}
    return alike(lambda: steps(lambda: getattr(keras.optimizers, name)(**rated), count))


def worded(name: str, options: dict[str, Any]) -> str:
    return ", ".join([name, *(f"{key} {value}" for key, value in options.items())])


def scaled(**options: Any) -> Scenario:
    def make() -> Any:
        inner = keras.optimizers.Adam(RATE)
        return keras.optimizers.LossScaleOptimizer(inner, **options)

    return alike(lambda: steps(make))


def by_default(name: str) -> Scenario:
    return alike(lambda: steps(getattr(keras.optimizers, name)))


def scheduled() -> Any:
    schedule = keras.optimizers.schedules.ExponentialDecay(RATE, 2, 0.5)
    return keras.optimizers.Adam(schedule)


SCENARIOS: dict[str, Scenario] = {
    f"optimizer: {worded(name, options)}": optimizer(name, **options)
    for name, own in OPTIONS.items()
    for options in (*own, *(COMMON if name != "ScheduleFreeAdamW" else ()))
} | {
    "optimizer: LossScaleOptimizer": scaled(),
    "optimizer: LossScaleOptimizer, initial_scale 4, growth 2": scaled(
        initial_scale=4.0, dynamic_growth_steps=2
    ),
    "optimizer: Adam by name": alike(lambda: steps(lambda: keras.optimizers.get("adam"))),
    "optimizer: Adam, with a schedule": alike(lambda: steps(scheduled)),
    **{f"optimizer: {name}, as it comes": by_default(name) for name in OPTIONS},
}
