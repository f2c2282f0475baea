"""What the old side's run must have to serve as a measure; what it has instead, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import StackError
from ...report import asides
from ...stacks.side import Side
from ..inner.job import InnerRun
from .partners import missing
from .verdicts import collection_error


class NoMeasureError(StackError):
    """Nothing can be compared with what a side left. run: what it came to all the same."""

    def __init__(self, problem: str, fix: str, run: InnerRun) -> None:
        super().__init__(problem, fix)
        self.args = (problem, fix, run)
        self.run = run


def demand_a_measure(side: Side, run: InnerRun) -> None:
    """Raises NoMeasureError where no test of a run was recorded."""
    told = _lacking(side, run)
    if told is not None:
        raise NoMeasureError(*told, run)


def _lacking(side: Side, run: InnerRun) -> tuple[str, str] | None:
    """What is wrong, and what to do."""
    missing = _not_found(run)
    there = [path for path in missing if Path(path).exists()]
    if there and not run.tests:
        return f"pytest finds no test in {', '.join(there)}.", NAME_TESTS
    if missing and not run.tests:
        return (
            f"pytest finds no such path or test: {', '.join(missing)}.",
            "Name paths behind `--` as you would for pytest in this folder.",
        )
    if run.log is None:
        return (
            f"Under {side.label} the suite does not run, so there is no measure: {run.why()}",
            _to_run_at_all(run),
        )
    outcomes = [test.outcome for test in run.tests.values()]
    if not outcomes and run.internal_error:
        return (
            f"Under {side.label} pytest itself fails, so there is no measure: {run.internal_error}",
            "Name a side under which the suite runs.",
        )
    if outcomes and set(outcomes) <= {"failed", "error"}:
        return (
            f"Every test fails under {side.label} already; first: {_first_reason(run)}",
            _to_pass(side, run),
        )
    left = [test for test in run.tests.values() if asides.left_alone(test)]
    if "recorded" not in outcomes and left:
        return (
            f"Nothing to compare: under {side.label} no call of a Keras model could be captured; "
            f"first: {left[0].nodeid}: {asides.left_alone(left[0])[0]}",
            "Name tests behind `--` with calls that can, or another golden_select.",
        )
    if "recorded" not in outcomes:
        return (
            f"Nothing to compare: under {side.label} no test calls a Keras model "
            f"({_sentence(outcomes, run) or run.last_line}).",
            "Name tests that do behind `--`, or look at the tests that fail or are skipped."
            if outcomes
            else NAME_TESTS,
        )
    return None


NAME_TESTS = (
    "Name tests that do behind `--`; saved models by their files, as in model.keras; of an export, "
    "the model that was exported, with run=savedmodel, run=onnx and the like as a side."
)


def _to_pass(side: Side, run: InnerRun) -> str:
    lacking = missing([test.reason for test in run.tests.values()], side.label)
    pins = "".join(f",{one.pin}" for one in lacking)
    if pins:
        return f"Give that side a {lacking[0].package} that goes with it: {side.short}{pins}"
    return "Make the suite pass under the old version first."


def _to_run_at_all(run: InnerRun) -> str:
    if run.timed_out:
        return "Raise --timeout, or name fewer tests behind `--`."
    if run.exitstatus == _PYTESTS_USAGE:
        return "Correct what pytest refuses: behind `--`, or in the suite's configuration."
    return "Make the suite pass under the old version first."


_NOT_FOUND = re.compile(r"^ERROR: (?:file or directory )?not found: (.+)$", re.MULTILINE)


def _not_found(run: InnerRun) -> list[str]:
    """What pytest was asked for and has not; empty where it ended for another reason."""
    return _NOT_FOUND.findall(run.output) if run.exitstatus == _PYTESTS_USAGE else []


_PYTESTS_USAGE = 4
"""The code with which pytest refuses its arguments."""


def _first_reason(run: InnerRun) -> str:
    failed = next(iter(run.tests.values()))
    return f"{failed.nodeid}: {failed.reason}"


def _sentence(outcomes: Sequence[str], run: InnerRun) -> str:
    parts = [f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes)]
    parts += filter(None, [asides.only_unseen(asides.unseen(run.tests.values()))])
    parts += [f"{module}: {collection_error(run, module)}" for module in run.broken_collections[:1]]
    return ", ".join(parts)
