"""Rounding that a training carries on is told from a change of what it computes."""

from __future__ import annotations

from pytest_keras_golden.compare.training import inherited, part_of
from pytest_keras_golden.outcomes import TensorOutcome
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
