"""Rounding that a training carries on is told from a change of what it computes."""

from __future__ import annotations

from pytest_keras_golden.compare.training import inherited, part_of
from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome
from pytest_keras_golden.records import Tolerance, Verdict

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
