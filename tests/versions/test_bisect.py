"""What one candidate of a bisection is: good, bad, or not to be tested."""

from __future__ import annotations

from pathlib import Path

import pytest
from suites import NORM, as_json, keras_golden, suite

from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.versions.bisect import judged
from pytest_keras_golden.versions.inner.job import InnerRun


def outcome(nodeid: str, word: str, verdict: str | None = None) -> TestOutcome:
    tensor = TensorOutcome("x", 0, "tensor", "float32", "float32", (2,), True, verdict)  # type: ignore[arg-type]
    return TestOutcome(nodeid, word, tensors=() if verdict is None else (tensor,))


def run(*tests: TestOutcome, broken: tuple[str, ...] = ()) -> InnerRun:
    return InnerRun("keras 1", 0, 1.0, Path(), log_json(0, {"keras": "1"}, tests, broken))


HOLDS = outcome("dense", "passed", "identical")
MOVED = outcome("norm", "failed", "drift")
FIRST = run(outcome("dense", "recorded"), outcome("norm", "recorded"))
AGAIN = run(HOLDS, outcome("norm", "passed", "identical"))
WATCHED = frozenset({"norm"})


@pytest.mark.parametrize(
    ("candidate", "answer"),
    [
        (AGAIN, "good"),
        (run(HOLDS, MOVED), "bad"),
        (run(HOLDS, outcome("norm", "skipped")), "skip"),
        (run(HOLDS, outcome("norm", "failed")), "skip"),
        (run(HOLDS, outcome("norm", "passed")), "skip"),
        (run(HOLDS), "skip"),
        (run(HOLDS, broken=("norm",)), "skip"),
        (run(outcome("dense", "failed"), outcome("norm", "passed", "identical")), "good"),
        (run(outcome("dense", "failed", "drift"), outcome("norm", "passed", "identical")), "good"),
    ],
)
def test_only_the_tests_that_moved_at_the_bad_end_decide(candidate: InnerRun, answer: str) -> None:
    assert judged("3.6.0", FIRST, AGAIN, candidate, WATCHED).answer == answer


def test_before_the_bad_end_is_known_every_test_decides() -> None:
    assert judged("3.6.0", FIRST, AGAIN, run(HOLDS, MOVED)).answer == "bad"
    assert judged("3.6.0", FIRST, AGAIN, AGAIN).answer == "good"
    broke = judged("3.6.0", FIRST, AGAIN, run(HOLDS, outcome("norm", "failed")))
    assert (broke.answer, broke.reason[:5]) == ("skip", "norm:")


def test_what_differs_from_itself_is_left_out() -> None:
    shaky = run(HOLDS, MOVED)
    assert judged("3.5.0", FIRST, shaky, shaky).answer == "good"
    all_shaky = run(outcome("dense", "failed", "drift"), MOVED)
    assert judged("3.5.0", FIRST, all_shaky, all_shaky).answer == "skip"


@pytest.mark.overlay
def test_a_release_that_cannot_run_the_test_is_skipped_and_named(tmp_path: Path) -> None:
    text = NORM.partition("def test_dense")[0] + '    assert keras.__version__ != "3.6.0"\n'
    folder = suite(tmp_path / "suite", test_norm=text)
    found = as_json(keras_golden(folder, "bisect", "3.5.0", "3.7.0", "--json", "-"))
    assert (found["first_bad"], found["between"]) == ("3.7.0", ["3.6.0"])
    (skipped,) = found["skipped"]
    assert skipped["version"] == "3.6.0"
    assert "AssertionError" in skipped["reason"]
    assert found["local_drift"] == ["layer_normalization"]
    assert (found["probes"], found["commit"]) == (3, None)
