from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_keras_golden.commands.gate import EXIT_CODES
from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.versions.compared.verdicts import (
    Status,
    VerdictRow,
    collection_error,
    failure_status,
    rows,
    taken,
    unseen,
)
from pytest_keras_golden.versions.gate import GateResult, Side
from pytest_keras_golden.versions.inner.job import InnerRun, Pin
from pytest_keras_golden.versions.matrix import Cell
from pytest_keras_golden.versions.pages.conclusion import verdict_line
from pytest_keras_golden.versions.pages.gate_html import page
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal

OLD, NEW = (Side((Pin("keras", version, Path()),)) for version in ("3.5.0", "3.6.0"))


def tensor(verdict: str) -> TensorOutcome:
    return TensorOutcome("norm", 0, "block", "float32", "float32", (2,), True, verdict)  # type: ignore[arg-type]


def judged(nodeid: str, outcome: str, verdict: str | None = None, **more: Any) -> TestOutcome:
    if verdict is not None:
        more["tensors"] = (tensor(verdict),)
    return TestOutcome(nodeid, outcome, **more)


def run(*tests: TestOutcome, broken: tuple[str, ...] = (), log: bool = True) -> InnerRun:
    document = log_json(0, {"keras": "1"}, tests, broken) if log else None
    return InnerRun("keras 1", 0 if log else 3, 1.0, Path(), document, output="boom")


def statuses(first: InnerRun, again: InnerRun, new: InnerRun) -> dict[str, str]:
    return {row.nodeid: row.status for row in rows(first, again, new)}


RECORDED = judged("t", "recorded")
SAME = judged("t", "passed", "identical")
TRAINS = judged("t", "passed", unseen=("fit", "evaluate"))


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


def reasons(first: InnerRun, again: InnerRun, new: InnerRun) -> dict[str, tuple[str, str | None]]:
    return {row.nodeid: (row.status, row.reason) for row in rows(first, again, new)}


@pytest.mark.parametrize(
    ("old", "again", "new", "expected"),
    [
        ("recorded", judged("t", "failed", "drift", reason="norm: drift"), SAME,
         ("again", "unstable", "norm: drift")),
        ("recorded", judged("t", "skipped"), SAME,
         ("again", "unstable", "skipped the second time")),
        ("recorded", judged("t", "passed"), SAME,
         ("again", "unstable", "it calls no Keras model the second time")),
        ("recorded", TRAINS, SAME,
         ("again", "unstable",
          "the second time it uses Keras only in ways not looked at: fit, evaluate")),
        ("recorded", None, SAME, ("none", "unstable", "it did not run a second time")),
        ("recorded", SAME, None, ("none", "broke", "it did not run under the new version")),
        ("recorded", SAME, judged("t", "passed"),
         ("new", "broke", "it calls no Keras model under the new version")),
        ("recorded", SAME, RECORDED, ("new", "broke", "it was recorded, not compared")),
        ("recorded", SAME, judged("t", "error", reason="a fixture"),
         ("new", "broke", "a fixture")),
        ("recorded", SAME, judged("t", "xfailed", reason="known"), ("new", "xfailed", "known")),
        ("failed", None, SAME, ("old", "failing before", "as it was")),
        ("error", None, SAME, ("old", "failing before", "as it was")),
        ("skipped", judged("t", "failed", "drift"), SAME, ("old", "skipped", "as it was")),
        ("xfailed", None, SAME, ("old", "xfailed", "as it was")),
        ("passed", judged("t", "failed"), judged("t", "passed"), ("new", "no tensors", None)),
        ("recorded", SAME, SAME, ("new", "holds", None)),
    ],
)  # fmt: skip
def test_every_row_says_why_and_by_which_run(
    old: str, again: TestOutcome | None, new: TestOutcome | None, expected: tuple[str, str, str]
) -> None:
    first = judged("t", old, reason="as it was")
    sides = (run(*filter(None, [side])) for side in (first, again, new))
    (row,) = rows(*sides)
    by = {"old": first, "again": again, "new": new, "none": None}
    decided, *said = expected
    assert [row.nodeid, row.status, row.reason] == ["t", *said]
    assert row.outcome == by[decided]


def test_what_was_compared_before_is_compared_now_without_a_second_run_too() -> None:
    def status(old: TestOutcome, new: TestOutcome) -> list[str]:
        return [row.status for row in rows(run(old), None, run(new))]

    assert status(RECORDED, SAME) == status(SAME, SAME) == ["holds"]
    assert status(SAME, judged("t", "passed")) == ["broke"]


def test_tests_are_new_unless_the_old_version_could_not_collect_their_module() -> None:
    new = [judged(f"{module}.py::t", "passed", "identical") for module in ("a", "b")]
    found = rows(run(broken=("a.py",)), None, run(*new))
    assert [(row.nodeid, row.status) for row in found] == [
        ("a.py", "failing before"),
        ("b.py::t", "new"),
    ]
    assert found[1].outcome == new[1]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (judged("t", "failed", "accumulated"), "moved"),
        (judged("t", "failed", "within"), "broke"),
        (judged("t", "failed", "unstable"), "moved"),
        (judged("t", "failed"), "broke"),
        (judged("t", "failed", tensors=(replace(tensor("drift"), judged=False),)), "broke"),
    ],
)
def test_what_made_a_test_fail(outcome: TestOutcome, status: str) -> None:
    assert failure_status(outcome) == status


def test_the_worst_comes_first_then_names_in_order() -> None:
    new = [
        judged("d", "passed", "identical"),
        judged("c", "failed", "drift"),
        judged("b", "failed"),
        judged("a", "failed", "drift"),
        judged("e", "failed", "incomparable"),
    ]
    old = [judged(test.nodeid, "recorded") for test in new]
    same = [judged(test.nodeid, "passed", "identical") for test in new]
    found = rows(run(*old), run(*same), run(*new))
    assert [row.nodeid for row in found] == ["b", "a", "c", "e", "d"]


COLLECTING = """
___________ ERROR collecting a.py ___________
a.py:1: in <module>
    import nonsense
E   ModuleNotFoundError: No module named 'nonsense'
E   another line
___________ ERROR collecting b.py ___________
E   SyntaxError: invalid syntax
"""


def test_a_module_says_why_it_was_not_collected() -> None:
    first = run(broken=("old.py",))
    new = replace(run(broken=("a.py", "b.py", "c.py", "old.py")), output=COLLECTING)
    assert reasons(first, first, new) == {
        "a.py": (
            "broke",
            "it could not be collected: ModuleNotFoundError: No module named 'nonsense'",
        ),
        "b.py": ("broke", "it could not be collected: SyntaxError: invalid syntax"),
        "c.py": ("broke", "it was not collected"),
        "old.py": ("failing before", "it could not be collected"),
    }
    assert collection_error(replace(new, output="E   x"), "a.py") == "it was not collected"
    other = "ERROR collecting a.py \nERROR collecting b.py \nE   of another"
    assert collection_error(replace(new, output=other), "a.py") == "it was not collected"
    cut = "ERROR collecting a.py in the last line"
    assert collection_error(replace(new, output=cut), "a.py") == "it was not collected"


@pytest.mark.parametrize(
    ("first", "new", "whole"),
    [(0, 0, False), (0, 1, False), (1, 0, False), (0, 2, True), (0, 3, True), (3, 0, False),
     (3, 3, False)],
)  # fmt: skip
def test_a_code_beyond_passed_and_failed_is_a_crash(first: int, new: int, whole: bool) -> None:
    ran, compared = replace(run(RECORDED), exitstatus=first), replace(run(SAME), exitstatus=new)
    assert ("the whole run" in statuses(ran, run(SAME), compared)) == whole


def test_only_tests_without_tensors_are_not_looked_at() -> None:
    """Not those that the old side could not repeat, nor those that it does not have."""
    extra = replace(TRAINS, nodeid="extra")
    found = rows(run(RECORDED), run(TRAINS), run(SAME, extra))
    assert {row.nodeid: row.status for row in found} == {"t": "unstable", "extra": "new"}
    assert unseen(found) == []
    found = rows(run(TRAINS), run(TRAINS), run(TRAINS))
    assert unseen(found) == [TRAINS]


def test_runs_of_one_time_are_told_together() -> None:
    runs = [("a", "2026-11-26 10:12"), ("b", None), ("c", "2026-11-26 10:12"), ("d", "2026-11-25")]
    assert taken(runs) == [
        "taken from the run of 2026-11-25: d",
        "taken from the run of 2026-11-26 10:12: a, c",
    ]
    assert taken([("a", None)]) == []


def test_a_row_is_a_value() -> None:
    row = VerdictRow("t", "holds")
    assert row == VerdictRow("t", "holds")
    assert hash(row) == hash(VerdictRow("t", "holds"))
    with pytest.raises(AttributeError):
        row.status = "moved"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("broken", "nodeid", "told"),
    [
        ("a.py", "a.py::t", {"a.py": "broke"}),
        ("tests/a", "tests/a/b.py::t", {"tests/a": "broke"}),
        (".", "tests/b.py::t", {".": "broke"}),
        ("", "tests/b.py::t", {"": "broke"}),
        ("tests/a", "tests/ab.py::t", {"tests/a": "broke", "tests/ab.py::t": "broke"}),
    ],
)
def test_a_test_that_is_gone_is_told_unless_its_module_is(
    broken: str, nodeid: str, told: dict[str, str]
) -> None:
    first = run(judged(nodeid, "recorded"))
    again = run(judged(nodeid, "passed", "identical"))
    assert statuses(first, again, run(broken=(broken,))) == told


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
    gate = GateResult(OLD, NEW, tuple(found), {"old": run(RECORDED), "new": run(new)})
    assert gate.verdict == gate.to_json()["verdict"] == "nothing compared"
    assert EXIT_CODES[gate.verdict] == 2
    assert "NOTHING COMPARED (1 " in verdict_line(gate)
    assert markdown(gate).startswith("### ❌")


VERDICT_OF = {
    "holds": "holds",
    "accepted": "holds",
    "moved": "drift",
    "incomparable": "drift",
    "broke": "drift",
    "failing before": "nothing compared",
    "unstable": "nothing compared",
    "skipped": "nothing compared",
    "xfailed": "nothing compared",
    "no tensors": "nothing compared",
    "new": "nothing compared",
}


@pytest.mark.parametrize("status", get_args(Status))
def test_what_each_status_says_of_the_bump(status: Status) -> None:
    """Alone, and beside a test that holds: blame is never outvoted."""
    runs = {"old": run(RECORDED), "new": run(SAME)}
    row, held = VerdictRow("t", status), VerdictRow("u", "holds", SAME)
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
        "keras 3.5.0 → 3.6.0: INCOMPARABLE. 1 of 2 compared tests ran with other weights, states "
        "or inputs under keras 3.6.0; nothing else moved"
    )
    assert "ran with other weights, states or inputs under keras 3.6.0" in markdown(gate)


def test_a_test_that_only_the_new_version_has_is_listed_and_blames_nobody() -> None:
    extra = judged("u", "failed", reason="no golden to compare with")
    assert statuses(run(RECORDED), run(SAME), run(SAME, extra)) == {"t": "holds", "u": "new"}


def result(*new: TestOutcome) -> GateResult:
    old = tuple(judged(item.nodeid, "recorded") for item in new)
    same = tuple(judged(item.nodeid, "passed", "identical") for item in new)
    found = rows(run(*old), run(*same), run(*new))
    return GateResult(OLD, NEW, tuple(found), {"old": run(*old), "new": run(*new)})


def told(html: str) -> str:
    """What a page holds as text and data, without its own script and style."""
    return re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)


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
    for text in (terminal(gate, width=200), markdown(gate), told(page(gate))):
        assert "block/norm" in text
        assert "TypeError: unexpected keyword" in text
    assert "| `t[a\\|<b>]` |  | block/norm |" in markdown(gate)
    assert "<b>" not in told(page(gate))
    assert gate.to_json()["counts"] == {"moved": 1, "broke": 1, "holds": 1}


def test_a_gate_that_holds_says_so_in_one_line() -> None:
    gate = result(judged("t", "passed", "within"))
    assert gate.verdict == "holds"
    assert terminal(gate).splitlines() == [
        "compared:",
        "  t: 1 test, 1 tensor (1 within)",
        "keras 3.5.0 → 3.6.0: holds. 1 test compared.",
    ]
    assert markdown(gate).startswith("### ✅ keras 3.5.0 → 3.6.0: holds")


def gate_of(*new: TestOutcome) -> GateResult:
    """A gate over what the new side says, where the old side recorded what has tensors."""
    old = [judged(t.nodeid, "recorded") if t.tensors else t for t in new]
    same = [judged(t.nodeid, "passed", "identical") if t.tensors else t for t in new]
    found = rows(run(*old), run(*same), run(*new))
    return GateResult(OLD, NEW, tuple(found), {"old": run(*old), "new": run(*new)})


def test_what_is_not_looked_at_is_counted_and_named_everywhere() -> None:
    training = [replace(TRAINS, nodeid=f"t.py::test_{name}") for name in ("a", "b")]
    gate = gate_of(judged("held", "passed", "identical"), *training, judged("plain", "passed"))
    line = verdict_line(gate)
    assert line == (
        "keras 3.5.0 → 3.6.0: holds. 1 test compared (1 without Keras). "
        "2 tests train or evaluate only: not looked at (fit 2, evaluate 2)."
    )
    for text in (terminal(gate, width=200), markdown(gate), told(page(gate))):
        assert "2 tests train or evaluate only: not looked at (fit 2, evaluate 2)" in text
        assert "t.py::test_b" in text
        assert "fit, evaluate" in text
        assert "plain" not in text.replace("text/plain", "")
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
