"""What differs is repeated before it is said: real suites under two releases, on numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from suites import as_json, keras_golden, suite

from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.versions.compared.settled import NEW_AGAIN, OLD_AGAIN, settled
from pytest_keras_golden.versions.inner.job import InnerRun

OLD, NEW = "3.10.0", "3.15.1"
HEAD = """
import os
import time
import keras
import numpy as np
import pytest

NEW = keras.__version__ > "3.10.9"
X = np.ones((2, 4), "float32")


def scaled(factor):
    keras.layers.Rescaling(factor)(X)


def test_holds():
    scaled(1.0)

"""
MOVED = """
@pytest.mark.parametrize("case", range(3), ids=["a b", "[x]", "-k::y"])
def test_moved(case):
    scaled(2.0 if NEW else 1.0)


def test_takes_a_while():
    time.sleep(3 if NEW else 0)
"""
ONCE = """
def test_breaks_once():
    scaled(1.0)
    if NEW and not os.path.exists("met"):
        open("met", "w").close()
        raise OSError("nobody answers")


def test_breaks():
    scaled(1.0)
    assert not NEW
"""
LEANS = """
class TestLeans:
    factor = 1.0

    def test_first(self):
        type(self).factor = 3.0

    def test_second(self):
        scaled(self.factor + NEW)
"""


def gated(folder: Path, text: str) -> Any:
    folder = suite(folder, test_case=HEAD + text)
    arguments = ("gate", OLD, NEW, "--json", "-", "--", "-p", "no:randomly")
    done = keras_golden(folder, *arguments, env={"KERAS_BACKEND": "numpy"})
    assert done.returncode in (0, 1), done.stderr
    statuses = {t["nodeid"].partition("::")[2]: t["status"] for t in as_json(done)["tests"]}
    return as_json(done), statuses, done.stderr


@pytest.mark.overlay
def test_a_gate_that_holds_runs_the_suite_twice(tmp_path: Path) -> None:
    document, statuses, said = gated(tmp_path / "suite", "")
    assert statuses == {"test_holds": "holds"}
    assert set(document["seconds"]) == {"old", "new"}
    assert "run 1 of 2: keras 3.10.0 …" in said
    assert "run 2 of 2: keras 3.15.1 … about" in said


@pytest.mark.overlay
def test_only_what_moved_is_repeated_whatever_it_is_called(tmp_path: Path) -> None:
    document, statuses, said = gated(tmp_path / "suite", MOVED)
    assert set(document["seconds"]) == {"old", "new", "old again", "new again"}
    assert statuses.pop("test_holds") == "holds"
    assert statuses.pop("test_takes_a_while") == "no tensors"
    assert set(statuses.values()) == {"moved"}
    assert len(statuses) == 3
    assert "keras 3.10.0 again, 3 tests: 3 passed" in said
    assert "keras 3.15.1 again, 3 tests: 3 failed" in said
    first = said.index("first to differ under keras 3.15.1: test_case.py::test_moved[a b]: ")
    assert first < said.index("run 2 of 2: keras 3.15.1: ")


@pytest.mark.overlay
def test_what_broke_is_repeated_before_it_is_said(tmp_path: Path) -> None:
    document, statuses, _ = gated(tmp_path / "suite", ONCE)
    assert statuses == {
        "test_holds": "holds",
        "test_breaks": "broke",
        "test_breaks_once": "unstable",
    }
    once = next(t for t in document["tests"] if t["nodeid"].endswith("_once"))
    assert "it broke once and not when it was run again" in once["reason"]
    assert "nobody answers" in once["reason"]


@pytest.mark.overlay
def test_a_test_that_leans_on_others_is_not_unstable_for_running_without_them(
    tmp_path: Path,
) -> None:
    document, statuses, _ = gated(tmp_path / "suite", LEANS)
    assert statuses["TestLeans::test_second"] == "moved"
    assert "old again, the whole suite" in document["seconds"]


def ran(*tests: TestOutcome) -> InnerRun:
    return InnerRun("keras", 0, 1.0, Path(), log_json(0, {"keras": "3.5.0"}, tests))


def made(nodeid: str, outcome: str, verdict: str = "") -> TestOutcome:
    tensors = (
        (TensorOutcome("t", 0, "block", "float32", "float32", (2,), True, verdict),)  # type: ignore[arg-type]
        if verdict
        else ()
    )
    return TestOutcome(nodeid, outcome, tensors=tensors)


def test_nothing_is_asked_for_again_where_all_hold() -> None:
    def never(only: object) -> InnerRun:
        raise AssertionError(only)

    first = ran(made("a", "recorded"), made("b", "failed"))
    found = settled(first, ran(made("a", "passed", "within"), made("b", "failed")), never, never)
    assert found.runs == {}
    assert {row.nodeid: row.status for row in found.rows} == {"a": "holds", "b": "failing before"}


def test_the_old_side_is_asked_for_what_moved_and_the_new_one_for_what_broke() -> None:
    asked: list[tuple[str, object]] = []

    def again(side: str, *tests: TestOutcome) -> Any:
        def run(only: Any, against: InnerRun | None = None) -> InnerRun:
            asked.append((side, None if only is None else sorted(only)))
            return ran(*tests)

        return run

    first = ran(*(made(name, "recorded") for name in "abc"))
    new = ran(made("a", "failed", "drift"), made("b", "failed"), made("c", "passed", "within"))
    same = [made(name, "passed", "identical") for name in "ab"]
    found = settled(first, new, again("old", *same), again("new", made("b", "failed")))
    assert asked == [("old", ["a", "b"]), ("new", ["b"])]
    assert list(found.runs) == [OLD_AGAIN, NEW_AGAIN]
    statuses = {row.nodeid: row.status for row in found.rows}
    assert statuses == {"a": "moved", "b": "broke", "c": "holds"}


def moved(outcome: str, verdict: str, k: float, cause: str | None = None) -> TestOutcome:
    """Of a test whose layers were measured alone."""
    tensor = TensorOutcome("t", 0, "block", "float32", "float32", (2,), True, verdict, k=k)  # type: ignore[arg-type]
    local = LocalOutcome("layer", 0, "within", cause=cause)  # type: ignore[arg-type]
    blamed = ("layer",) if outcome == "failed" else ()
    return TestOutcome(
        "a", outcome, isolation="complete", tensors=(tensor,), locals=(local,), local_drift=blamed
    )


WITHIN = moved("passed", "within", 1.0)
DRIFTED = moved("failed", "drift", 9.0)
BROKE = made("a", "failed")


@pytest.mark.parametrize(
    ("once", "again", "status", "runs"),
    [
        (WITHIN, moved("passed", "within", 1.0, "rounding"), "holds", 1),
        (WITHIN, moved("failed", "within", 1.0, "meaning"), "moved", 1),
        (DRIFTED, moved("passed", "accumulated", 9.0, "precision"), "holds", 1),
        (DRIFTED, moved("failed", "drift", 9.0, "meaning"), "moved", 1),
        (DRIFTED, moved("passed", "identical", 0.0), "moved", 1),
        (WITHIN, BROKE, "unstable", 2),
        (BROKE, WITHIN, "unstable", 2),
        (DRIFTED, BROKE, "moved", 2),
        (BROKE, BROKE, "broke", 1),
    ],
)
def test_the_second_run_knows_causes_and_excuses_nothing_else(
    once: TestOutcome, again: TestOutcome, status: str, runs: int
) -> None:
    first = ran(made("a", "recorded", "identical"), made("b", "recorded", "identical"))
    other = made("b", "passed", "identical")
    asked: list[object] = []

    def old_again(only: Any) -> InnerRun:
        assert only == {"a"}
        return ran(made("a", "passed", "identical"))

    def new_again(only: Any, against: InnerRun | None) -> InnerRun:
        asked.append(only)
        assert against is not None
        return ran(again, other)

    found = settled(first, ran(once, other), old_again, new_again)
    assert {row.nodeid: row.status for row in found.rows} == {"a": status, "b": "holds"}
    assert asked == [{"a"}, None][:runs]
    told = next(row for row in found.rows if row.nodeid == "a")
    if status in ("moved", "holds") and runs == 1 and again.tensors[0].verdict != "identical":
        assert told.outcome == again


def test_what_nothing_was_measured_of_is_not_asked_for_causes() -> None:
    def never(*_: object) -> InnerRun:
        raise AssertionError

    first = ran(made("a", "recorded", "identical"), made("b", "recorded", "identical"))
    within = ran(made("a", "passed", "within"), made("b", "passed", "identical"))
    assert settled(first, within, never, never).runs == {}
