"""One layer on golden inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.compare.isolation import judge_local, worse
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.tolerance import default
from pytest_keras_golden.outcomes import LocalOutcome

from .conftest import FLOATS, cast, normal

LOW = FLOATS["bfloat16"]
GOLDEN = cast(normal((4, 16, 32)), LOW)


def changed(by: Any) -> Any:
    return cast(GOLDEN.astype(np.float64) * by, LOW)


@pytest.mark.parametrize(
    ("actual", "verdict"),
    [
        (GOLDEN, "identical"),
        (changed(1 + 0.004 * normal(GOLDEN.shape, 3)), "within"),
        (changed(0.995), "systematic"),
        (changed(1 + 0.1 * normal(GOLDEN.shape, 3)), "drift"),
        (np.where(GOLDEN > 3, np.nan, GOLDEN.astype("f4")).astype(LOW), "nonfinite"),
        (GOLDEN[:3], "structure"),
        (GOLDEN.astype(np.float32), "structure"),
    ],
)
def test_verdicts(actual: Any, verdict: str) -> None:
    found = judge_local("norm", 7, [actual], [GOLDEN])
    assert (found.name, found.order, found.verdict) == ("norm", 7, verdict)
    assert (found.k is None) == (verdict == "structure")


def test_another_number_of_outputs_is_structure() -> None:
    found = judge_local("lstm", 0, [GOLDEN], [GOLDEN, GOLDEN])
    assert found.verdict == "structure"
    assert "1 outputs, golden has 2" in str(found.note)


def test_the_worst_output_decides() -> None:
    harmless, drifted = changed(1 + 0.004 * normal(GOLDEN.shape, 3)), changed(1.2)
    found = judge_local("lstm", 0, [harmless, drifted, GOLDEN], [GOLDEN] * 3)
    assert found.verdict == "drift"
    assert judge_local("lstm", 0, [GOLDEN, harmless], [GOLDEN] * 2).verdict == "within"


def test_what_is_told_of_an_output_is_what_was_measured() -> None:
    actual = changed(1 + 0.1 * normal(GOLDEN.shape, 3))
    metrics = measure(actual, GOLDEN, default("bfloat16"))
    found = judge_local("norm", 7, [actual], [GOLDEN])
    assert (found.k, found.rel_l2, found.precision) == (metrics.k, metrics.rel_l2, "bfloat16")
    assert metrics.bias is not None
    assert (found.bias, found.bias_t) == (metrics.bias.slope, metrics.bias.slope_t)
    mask = np.array([True, False])
    moved = judge_local("mask", 7, [~mask], [mask])
    assert (moved.verdict, moved.bias, moved.bias_t) == ("drift", None, None)


@pytest.mark.parametrize(
    ("outputs", "note"),
    [
        ([GOLDEN[:3]], "bfloat16[3, 16, 32], golden has bfloat16[4, 16, 32]"),
        ([GOLDEN.astype(np.float32)], "float32[4, 16, 32], golden has bfloat16[4, 16, 32]"),
        ([], "0 outputs, golden has 1"),
    ],
)
def test_another_structure_is_told_and_has_no_size(outputs: list[Any], note: str) -> None:
    found = judge_local("norm", 7, outputs, [GOLDEN])
    assert (found.note, found.k, found.rel_l2) == (note, None, None)


def test_of_two_outcomes_the_more_severe_counts_then_that_which_moved_further() -> None:
    verdicts = ("identical", "within", "systematic", "drift", "nonfinite", "structure")
    ordered = [LocalOutcome("x", 0, verdict, k=9.0 - at) for at, verdict in enumerate(verdicts)]
    for mild, severe in pairwise(ordered):
        assert worse(mild, severe) == worse(severe, mild) == severe
    near, far = (LocalOutcome("x", 0, "drift", k=k) for k in (0.6, 7.0))
    assert worse(near, far) == worse(far, near) == far
    assert worse(LocalOutcome("x", 0, "drift"), near) == near


def test_a_note_tells_of_a_bias_in_the_precision_of_the_layer() -> None:
    actual, golden = (array.astype(np.float32) for array in (changed(0.995), GOLDEN))
    found = judge_local("norm", 7, [actual], [golden], "bfloat16")
    metrics = measure(actual, golden, default("bfloat16"), "bfloat16")
    assert metrics.bias is not None
    assert (found.verdict, found.note) == ("systematic", metrics.bias.sentence("bfloat16"))


def test_the_default_tolerance_is_that_of_the_precision() -> None:
    golden = normal((4, 16, 32)).astype(np.float32)
    actual = (golden * (1 + 20 * 2.0**-23 * normal(golden.shape, 3))).astype(np.float32)
    found = judge_local("dense", 0, [actual], [golden])
    assert found.k is not None
    assert 5 < found.k < 64
    assert found.verdict == "within"


def test_outputs_need_not_lie_in_a_row() -> None:
    golden = np.repeat(np.float32([1, 2, 3]), 2)
    assert judge_local("split", 0, [golden[::2]], [golden[1::2]]).verdict == "identical"


def test_a_scalar_is_an_output() -> None:
    scalar = np.asarray(np.float32(3))
    assert judge_local("loss", 0, [scalar], [scalar.copy()]).verdict == "identical"


def test_the_same_bits_are_no_shift_of_either_measure() -> None:
    found = judge_local("norm", 7, [GOLDEN], [GOLDEN])
    assert (found.k, found.rel_l2, found.bias, found.bias_t) == (0.0, 0.0, 0.0, 0.0)
    assert found.precision == "bfloat16"
    nothing = judge_local("drop", 1, [], [], "float32")
    assert nothing == LocalOutcome("drop", 1, "identical", "float32", k=0.0, rel_l2=0.0)


def test_precision_is_that_of_the_arithmetic() -> None:
    golden = GOLDEN.astype(np.float32)
    actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3)).astype(np.float32)
    assert judge_local("softmax", 0, [actual], [golden], "bfloat16").verdict == "within"
    assert judge_local("softmax", 0, [actual], [golden], "float32").verdict == "drift"


def test_integer_outputs_stay_exact_under_a_low_precision() -> None:
    found = judge_local("argmax", 0, [np.array([1, 2])], [np.array([1, 3])], "bfloat16")
    assert found.verdict == "drift"
    assert found.precision == "int64"


def test_bias_may_be_switched_off() -> None:
    assert judge_local("norm", 0, [changed(0.995)], [GOLDEN], systematic="off").verdict == "within"


def test_no_output_at_all_is_identical() -> None:
    assert judge_local("input", 0, [], []).verdict == "identical"
