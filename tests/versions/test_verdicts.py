from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.versions.gate import GateResult, Side
from pytest_keras_golden.versions.gate_command import EXIT_CODES
from pytest_keras_golden.versions.job import InnerRun, Pin
from pytest_keras_golden.versions.matrix import Cell
from pytest_keras_golden.versions.pages import markdown, page, terminal, verdict_line
from pytest_keras_golden.versions.verdicts import Row, Status, rows

OLD, NEW = (Side((Pin("keras", version, Path()),)) for version in ("3.5.0", "3.6.0"))


def tensor(verdict: str) -> TensorOutcome:
    return TensorOutcome("norm", 0, "block", "float32", "float32", (2,), True, verdict)  # type: ignore[arg-type]


def judged(nodeid: str, outcome: str, verdict: str | None = None, **more: Any) -> TestOutcome:
    tensors = () if verdict is None else (tensor(verdict),)
    return TestOutcome(nodeid, outcome, tensors=tensors, **more)


def run(*tests: TestOutcome, broken: tuple[str, ...] = (), log: bool = True) -> InnerRun:
    document = log_json(0, {"keras": "1"}, tests, broken) if log else None
    return InnerRun("keras 1", 0 if log else 3, 1.0, Path(), document, output="boom")


def statuses(first: InnerRun, again: InnerRun, new: InnerRun) -> dict[str, str]:
    return {row.nodeid: row.status for row in rows(first, again, new)}


RECORDED = judged("t", "recorded")
SAME = judged("t", "passed", "identical")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (judged("t", "passed", "identical"), "holds"),
        (judged("t", "passed", "within"), "holds"),
        (judged("t", "passed", "accumulated"), "holds"),
        (judged("t", "failed", "drift"), "moved"),
        (judged("t", "failed", "systematic"), "moved"),
        (judged("t", "failed", "structure"), "moved"),
        (judged("t", "failed", "within", local_drift=("norm",)), "moved"),
        (judged("t", "failed", "incomparable"), "incomparable"),
        (judged("t", "failed", reason="AttributeError: gone"), "broke"),
        (judged("t", "error", reason="fixture"), "broke"),
        (judged("t", "skipped", reason="wants 3.5"), "skipped"),
        (judged("t", "passed"), "broke"),
        (RECORDED, "broke"),
    ],
)
def test_what_the_new_side_says(new: TestOutcome, expected: str) -> None:
    assert statuses(run(RECORDED), run(SAME), run(new)) == {"t": expected}


@pytest.mark.parametrize("new", ["drift", "identical"])
def test_the_old_sides_troubles_are_not_the_bumps(new: str) -> None:
    failing = judged("t", "failed", reason="assert False")
    moved = judged("t", "failed", new)
    assert statuses(run(failing), run(failing), run(moved)) == {"t": "failing before"}
    shaky = judged("t", "failed", "drift")
    assert statuses(run(RECORDED), run(shaky), run(moved)) == {"t": "unstable"}


@pytest.mark.parametrize(
    "again", [(), (judged("t", "passed"),), (judged("t", "skipped"),), (RECORDED,)]
)
def test_what_the_old_side_could_not_repeat_is_unstable(again: tuple[TestOutcome, ...]) -> None:
    assert statuses(run(RECORDED), run(*again), run(SAME)) == {"t": "unstable"}


def test_a_test_that_vanishes_broke() -> None:
    assert statuses(run(RECORDED), run(SAME), run()) == {"t": "broke"}


def test_a_module_that_cannot_be_collected_is_one_row() -> None:
    first = run(judged("a.py::t", "recorded"), judged("b.py::t", "recorded"))
    new = run(judged("b.py::t", "passed", "identical"), broken=("a.py",))
    again = run(judged("a.py::t", "passed", "identical"), judged("b.py::t", "passed", "identical"))
    assert statuses(first, again, new) == {"a.py": "broke", "b.py::t": "holds"}
    assert statuses(new, new, new)["a.py"] == "failing before"


def test_a_run_without_a_log_broke_as_a_whole() -> None:
    found = rows(run(RECORDED), run(SAME), run(log=False))
    assert [(row.status, row.nodeid) for row in found] == [("broke", "the whole run")]
    assert "boom" in str(found[0].reason)


def test_a_run_that_crashes_after_its_tests_broke_as_a_whole() -> None:
    crashed = replace(run(SAME), exitstatus=3)
    assert statuses(run(RECORDED), run(SAME), crashed) == {"t": "holds", "the whole run": "broke"}
    assert statuses(replace(run(RECORDED), exitstatus=3), crashed, crashed) == {"t": "holds"}


@pytest.mark.parametrize(
    ("again", "new"),
    [(SAME, judged("t", "skipped", reason="wants 3.5")), (judged("t", "failed", "drift"), SAME)],
)
def test_a_gate_that_compared_nothing_does_not_hold(again: TestOutcome, new: TestOutcome) -> None:
    found = rows(run(RECORDED), run(again), run(new))
    gate = GateResult(OLD, NEW, tuple(found), (run(RECORDED), run(again), run(new)))
    assert gate.verdict == gate.to_json()["verdict"] == "nothing compared"
    assert EXIT_CODES[gate.verdict] == 2
    assert "NOTHING COMPARED (1 " in verdict_line(gate)
    assert markdown(gate).startswith("### ❌")


VERDICT_OF = {
    "holds": "holds",
    "moved": "drift",
    "incomparable": "drift",
    "broke": "drift",
    "failing before": "nothing compared",
    "unstable": "nothing compared",
    "skipped": "nothing compared",
    "no tensors": "nothing compared",
    "new": "nothing compared",
}


@pytest.mark.parametrize("status", get_args(Status))
def test_what_each_status_says_of_the_bump(status: Status) -> None:
    """Alone, and beside a test that holds: blame is never outvoted."""
    runs = (run(RECORDED), run(SAME), run(SAME))
    row, held = Row("t", status), Row("u", "holds", SAME)
    alone = GateResult(OLD, NEW, (row,), runs).verdict
    beside = GateResult(OLD, NEW, (row, held), runs).verdict
    assert alone == VERDICT_OF[status]
    assert beside == ("drift" if VERDICT_OF[status] == "drift" else "holds")
    assert [EXIT_CODES[verdict] for verdict in ("holds", "drift", "nothing compared")] == [0, 1, 2]
    red = Cell("t", "3.6.0", status).red
    assert red == (VERDICT_OF[status] == "drift")


def test_a_weight_that_cannot_be_carried_over_stops_the_bump() -> None:
    gate = result(judged("t", "failed", "incomparable"), judged("u", "passed", "identical"))
    assert (gate.verdict, EXIT_CODES[gate.verdict]) == ("drift", 1)
    assert verdict_line(gate).startswith(
        "keras 3.5.0 → 3.6.0: DRIFT. 0 of 2 compared tests moved, 1 incomparable"
    )
    assert "Incomparable: a weight or input could not be carried over" in markdown(gate)


def test_a_test_that_only_the_new_version_has_is_listed_and_blames_nobody() -> None:
    extra = judged("u", "failed", reason="no golden to compare with")
    assert statuses(run(RECORDED), run(SAME), run(SAME, extra)) == {"t": "holds", "u": "new"}


def result(*new: TestOutcome) -> GateResult:
    old = tuple(judged(item.nodeid, "recorded") for item in new)
    same = tuple(judged(item.nodeid, "passed", "identical") for item in new)
    found = rows(run(*old), run(*same), run(*new))
    return GateResult(OLD, NEW, tuple(found), (run(*old), run(*same), run(*new)))


def test_the_pages_say_what_moved_and_who_did_it() -> None:
    moved = judged(
        "t[a|<b>]", "failed", "drift", local_drift=("block/norm",), first_drift="norm",
        baseline="3.5.0", isolation="complete",
    )  # fmt: skip
    broke = judged("u", "failed", reason="TypeError: unexpected keyword")
    gate = result(moved, broke, judged("v", "passed", "identical"))
    assert gate.verdict == "drift"
    line = verdict_line(gate)
    assert line == (
        "keras 3.5.0 → 3.6.0: DRIFT. 1 of 2 compared tests moved, 1 broke; "
        "guilty: block/norm (1 test)."
    )
    for text in (terminal(gate, width=200), markdown(gate), page(gate)):
        assert "block/norm" in text
        assert "TypeError: unexpected keyword" in text
    assert "| `t[a\\|<b>]` | block/norm |" in markdown(gate)
    assert "<b>" not in page(gate).replace("<body>", "")
    assert gate.to_json()["counts"] == {"moved": 1, "broke": 1, "holds": 1}


def test_a_gate_that_holds_says_so_in_one_line() -> None:
    gate = result(judged("t", "passed", "within"))
    assert gate.verdict == "holds"
    assert terminal(gate) == "keras 3.5.0 → 3.6.0: holds. 1 test compared."
    assert markdown(gate).startswith("### ✅ keras 3.5.0 → 3.6.0: holds")


TRAINS = judged("t", "passed", unseen=("fit", "evaluate"))


def gate_of(*new: TestOutcome) -> GateResult:
    """A gate over what the new side says, where the old side recorded what has tensors."""
    old = [judged(t.nodeid, "recorded") if t.tensors else t for t in new]
    same = [judged(t.nodeid, "passed", "identical") if t.tensors else t for t in new]
    found = rows(run(*old), run(*same), run(*new))
    return GateResult(OLD, NEW, tuple(found), (run(*old), run(*same), run(*new)))


def test_what_is_not_looked_at_is_counted_and_named_everywhere() -> None:
    training = [replace(TRAINS, nodeid=f"t.py::test_{name}") for name in ("a", "b")]
    gate = gate_of(judged("held", "passed", "identical"), *training, judged("plain", "passed"))
    line = verdict_line(gate)
    assert line == (
        "keras 3.5.0 → 3.6.0: holds. 1 test compared (1 without Keras). "
        "2 tests train or evaluate only: not looked at (fit 2, evaluate 2)."
    )
    for text in (terminal(gate, width=200), markdown(gate), page(gate)):
        assert "2 tests train or evaluate only: not looked at (fit 2, evaluate 2)" in text
        assert "t.py::test_b" in text
        assert "fit, evaluate" in text
        assert "plain" not in text
    document = gate.to_json()
    assert document["not_looked_at"] == 2
    unseen = {test["nodeid"]: test["unseen"] for test in document["tests"]}
    assert unseen["t.py::test_a"] == ["fit", "evaluate"]
    assert unseen["held"] == unseen["plain"] == []
    assert document["counts"] == {"holds": 1, "no tensors": 3}


def test_a_gate_over_nothing_but_training_compared_nothing() -> None:
    gate = gate_of(TRAINS, judged("plain", "passed"))
    assert gate.verdict == "nothing compared"
    assert EXIT_CODES[gate.verdict] == 2
    assert verdict_line(gate) == (
        "keras 3.5.0 → 3.6.0: NOTHING COMPARED (1 without Keras). "
        "1 test trains or evaluates only: not looked at (fit 1, evaluate 1)."
    )


def test_a_gate_that_drifts_says_it_too() -> None:
    line = verdict_line(gate_of(judged("moved", "failed", "drift"), TRAINS))
    assert line.endswith("1 of 1 compared test moved. 1 test trains or evaluates only: "
                         "not looked at (fit 1, evaluate 1).")  # fmt: skip


def test_a_gate_that_holds_says_where_rounding_accumulated() -> None:
    gate = result(judged("t", "passed", "accumulated"), judged("u", "passed", "identical"))
    assert verdict_line(gate) == (
        "keras 3.5.0 → 3.6.0: holds. 2 tests compared. "
        "In 1 test rounding accumulated by depth alone."
    )
