"""Rounding that a training carries on is told from a change of what it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.compare.training import StepEvidence, inherited, part_of
from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome
from pytest_keras_golden.records import TensorRecord, Tolerance, Verdict

EPS = 2.0**-23


def tensor(order: int, name: str, verdict: Verdict, rel_l2: float = 0.0) -> TensorOutcome:
    return TensorOutcome(
        name, order, "tensor", "float32", "float32", (4,), True, verdict,
        tolerance=Tolerance(k=64.0), rel_l2=rel_l2,
    )  # fmt: skip


def test_only_training_has_parts() -> None:
    assert part_of("step_000/gradients/blocks/0/kernel") == "step_000/gradients"
    assert part_of("second/test_step_001/loss") == "test_step_001/loss"
    assert part_of("weights/head/kernel") == "weights"
    assert part_of("step_000/logits") is None
    assert part_of("head/kernel") is None


def test_what_rounding_before_explains_is_excused() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "drift", 200 * EPS),
        tensor(2, "weights/a", "systematic", 200 * EPS),
    ]
    assert inherited(steps) == {"step_000/updates/a", "weights/a"}


def test_a_change_behind_equal_parts_is_not() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "identical"),
        tensor(1, "step_000/updates/a", "drift", 100 * EPS),
    ]
    assert inherited(steps) == frozenset()


def test_more_than_rounding_can_do_is_not_and_nothing_behind_it() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "drift", 300 * EPS),
        tensor(2, "step_001/gradients/a", "drift", EPS),
    ]
    assert inherited(steps) == frozenset()


def test_what_vanished_is_not() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "structure"),
    ]
    assert inherited(steps) == frozenset()


def statistic_moved(*components: LocalOutcome) -> frozenset[str]:
    steps = [
        tensor(0, "step_000/gradients/hidden/kernel", "within", EPS),
        tensor(1, "step_001/updates/norm/moving_mean", "drift", 1e-3),
        tensor(2, "test_step_000/loss", "drift", 5e-4),
        tensor(3, "weights/norm/moving_mean", "drift", 2e-3),
    ]
    return inherited(steps, components)


def test_what_a_layer_keeps_follows_weights_that_moved_where_it_keeps_it_as_before() -> None:
    everything = {
        "step_001/updates/norm/moving_mean",
        "test_step_000/loss",
        "weights/norm/moving_mean",
    }
    same, other = LocalOutcome("statistics:norm", 0, "identical"), LocalOutcome("norm", 0, "within")
    assert statistic_moved(same, other) == everything
    assert statistic_moved(other) == frozenset()
    assert statistic_moved(LocalOutcome("statistics:norm", 0, "drift")) == frozenset()


def test_weights_that_are_trained_are_no_statistics() -> None:
    steps = [
        tensor(0, "step_000/gradients/norm/beta", "within", EPS),
        tensor(1, "step_001/updates/norm/beta", "drift", 1e-3),
    ]
    assert inherited(steps, [LocalOutcome("statistics:norm", 0, "identical")]) == frozenset()


def test_an_optimizer_that_is_what_it_was_by_itself_makes_more_of_rounding() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "drift", 400 * EPS),
    ]
    same = LocalOutcome("optimizer:Adam", 0, "identical")
    changed = LocalOutcome("optimizer:Adam", 0, "drift")
    assert inherited(steps, [same]) == {"step_000/updates/a"}
    assert inherited(steps, [changed]) == inherited(steps) == frozenset()


SAME = LocalOutcome("optimizer:Adam", 0, "identical")
LOSS = LocalOutcome("loss:mse", 0, "identical")
KINK = [
    tensor(0, "step_000/loss", "within", EPS),
    tensor(1, "step_000/gradients/a", "drift", 0.02),
    tensor(2, "step_000/slots/a/velocities", "drift", 0.04),
    tensor(3, "step_001/gradients/a", "drift", 0.02),
]


def test_a_gradient_moves_as_far_as_rounding_moves_what_layers_send_back() -> None:
    everything = {item.name for item in KINK[1:]}
    assert inherited(KINK, [SAME, LOSS], StepEvidence(sent=0.005)) == everything
    assert inherited(KINK, [SAME, LOSS], StepEvidence(sent=0.004)) == frozenset()


@pytest.mark.parametrize(
    "components", [[SAME, LOSS, LocalOutcome("a", 0, "drift")], [SAME], [LOSS]]
)
def test_no_gradient_does_where_a_part_changed_by_itself_or_is_unknown(components: Any) -> None:
    assert inherited(KINK, components, StepEvidence(sent=1.0)) == frozenset()


def test_steps_behind_an_update_are_as_far_off_as_it_was() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "within", 0.02),
        tensor(2, "step_001/gradients/a", "drift", 0.02),
    ]
    assert inherited(steps, [SAME]) == {"step_001/gradients/a"}
    assert inherited([steps[0], steps[2]], [SAME]) == frozenset()


class Held(dict[str, Any]):
    """Tensors of a golden."""

    def has(self, name: str) -> bool:
        return name in self

    def array(self, name: str) -> Any:
        return self[name]


def flipped(before: Any, now: Any, made: Any, makes: Any) -> float:
    names = ("step_000/gradients/a", "step_000/updates/a")
    golden = Held(zip(names, map(np.asarray, (before, made)), strict=True))
    run = {
        name: TensorRecord(name, np.asarray(array))
        for name, array in zip(names, (now, makes), strict=True)
    }
    return StepEvidence(golden, run).flipped("step_000/updates/a")


def test_an_update_may_turn_round_where_its_gradient_moved_by_its_own_size() -> None:
    signs = np.array([1.0, -1.0, 1.0, 1.0])
    gradient, other = np.array([1.0, -2.0, 3.0, 1e-6]), np.array([1.0, -2.0, 3.0, -1e-6])
    # One of four elements of equal size goes the other way: 2/√4.
    assert flipped(gradient, other, signs, np.sign(other)) == 1.0
    assert flipped(gradient, gradient, signs, signs) == 0.0
    # All of them moved by a hundredth of their size, so by two hundredths at most.
    assert flipped(gradient, gradient * 1.01, signs, signs) == pytest.approx(0.02)


def test_where_a_side_lacks_a_gradient_nothing_is_known_of_its_update() -> None:
    run = {"step_000/updates/a": TensorRecord("step_000/updates/a", np.ones(3))}
    held = Held({"step_000/updates/a": np.ones(3)})
    assert StepEvidence(held, run).flipped("step_000/updates/a") == 0.0
    assert flipped([0.0, 1.0], [np.nan, 1.0], [0.0, 0.0], [1.0, 1.0]) == 0.0


def test_an_update_that_turned_round_is_excused() -> None:
    steps = [
        tensor(0, "step_000/gradients/a", "within", EPS),
        tensor(1, "step_000/updates/a", "drift", 0.9),
    ]
    before, now = np.array([1.0, 1e-9]), np.array([1.0, -1e-9])
    held = Held({"step_000/gradients/a": before, "step_000/updates/a": np.sign(before)})
    run = {
        "step_000/gradients/a": TensorRecord("step_000/gradients/a", now),
        "step_000/updates/a": TensorRecord("step_000/updates/a", np.sign(now)),
    }
    assert inherited(steps, [SAME], StepEvidence(held, run)) == {"step_000/updates/a"}
