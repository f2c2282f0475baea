"""Optimizers by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.replay.optimizers import Exercise
from pytest_keras_golden.capture.train.doors import doors

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "numpy", reason="Keras has no optimizers on numpy"
)
made = keras.optimizers
KINDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (
        *(made.SGD, made.Adam, made.AdamW, made.RMSprop, made.Adamax, made.Nadam, made.Adagrad),
        *(made.Adadelta, made.Ftrl, made.Lion, made.Lamb, made.Adafactor),
    )
}


def exercised(optimizer: Any, asked: bool = True) -> dict[str, Any]:
    with doors() as watched:
        watched.open()
        exercise = Exercise.of(optimizer, watched.listening, asked)
        assert exercise is not None
        return dict(exercise.run())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_each_time_and_moves_with_its_rate(kind: str) -> None:
    one, again, other = (exercised(KINDS[kind](rate)) for rate in (0.01, 0.01, 0.0101))
    assert one.keys() == again.keys() == other.keys()
    assert {"applied/kernel", "learning_rate", "updates/kernel", "slots/iterations"} <= one.keys()
    for name, array in one.items():
        assert array.tobytes() == again[name].tobytes()
    assert np.abs(one["updates/kernel"]).max() > 0.0
    assert other["learning_rate"] == pytest.approx(0.0101)
    assert (one["updates/kernel"] != other["updates/kernel"]).any()


@pytest.mark.parametrize(
    ("options", "other", "part"),
    [
        ({"clipnorm": 0.05}, {"clipnorm": 0.06}, "applied/kernel"),
        ({"global_clipnorm": 0.05}, {"global_clipnorm": 0.06}, "applied/kernel"),
        ({"gradient_accumulation_steps": 2}, {"gradient_accumulation_steps": 3}, "applied/kernel"),
        ({"weight_decay": 0.004}, {"weight_decay": 0.005}, "updates/kernel"),
        ({"use_ema": True}, {"use_ema": True, "ema_momentum": 0.9}, "slots/kernel/model_variables"),
        ({"epsilon": 1e-7}, {"epsilon": 1.1e-7}, "updates/kernel"),
    ],
)
def test_each_option_tells(options: dict[str, Any], other: dict[str, Any], part: str) -> None:
    one, two = exercised(made.Adam(0.01, **options)), exercised(made.Adam(0.01, **other))
    places = [name for name in one if name.startswith(part.rpartition("/")[0])]
    assert places
    moved = [n for n in places if n in two and not np.allclose(one[n], two[n], rtol=1e-5, atol=0)]
    assert moved


def test_a_loss_scale_is_run_with_what_it_stands_around() -> None:
    found = exercised(made.LossScaleOptimizer(made.Adam(0.01)))
    assert "slots/dynamic_scale" in found
    assert np.abs(found["updates/kernel"]).max() > 0.0


def test_schedules_go_on_from_step_to_step() -> None:
    schedule = made.schedules.ExponentialDecay(0.1, 1, 0.5)
    assert exercised(made.SGD(schedule))["learning_rate"].tolist() == pytest.approx(
        [0.1, 0.05, 0.025]
    )


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [(made.Nadam(0.1), 3), (made.Adam(0.1, gradient_accumulation_steps=2), 6)],
    ids=["Nadam", "accumulating"],
)
def test_rates_are_told_once_a_step_on_every_backend(optimizer: Any, steps: int) -> None:
    assert exercised(optimizer)["learning_rate"].tolist() == pytest.approx([0.1] * steps)


def test_the_optimizer_of_the_test_is_left_alone() -> None:
    optimizer = made.Adam(0.01)
    weight = keras.Variable(np.ones((2, 2), "float32"))
    optimizer.build([weight])
    exercised(optimizer)
    assert int(optimizer.iterations.value) == 0
    assert len(optimizer._trainable_variables) == 1


def test_code_of_others_is_run_again_only_where_the_test_asks() -> None:
    class Mine(made.SGD):
        def get_config(self) -> dict[str, Any]:
            raise RuntimeError("none of your business")

    class Halved(made.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.5

        def get_config(self) -> dict[str, Any]:
            return {}

    with doors() as watched:
        for optimizer in (Mine(0.1), made.SGD(Halved())):
            assert Exercise.of(optimizer, watched.listening, asked=False) is None
        assert Exercise.of(Mine(0.1), watched.listening, asked=True) is None
        assert Exercise.of(object(), watched.listening, asked=True) is None
        strange = Exercise.of(made.SGD(Halved()), watched.listening, asked=True)
        # Its schedule cannot be found by its name.
        assert strange is not None
        assert strange.run() == {}
