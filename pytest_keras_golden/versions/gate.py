"""May this bump go in? The old side twice, then the new side against it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import StackError
from ..report import asides
from ..stacks.side import Side
from .changes import Change, Culprit, changes
from .inner.importing import demand_importable
from .inner.job import InnerRun, Job
from .inner.jobs import Runner, run_all, run_alone
from .inner.progress import Progress
from .inner.run import check_options, forget, record_options
from .trace import evidence
from .trace.hearing import only_these
from .verdicts import GUILTY, Status, VerdictRow, collection_error, counts, rows, taken, unseen

GateVerdict = Literal["holds", "drift", "nothing compared"]


@dataclass(frozen=True, slots=True)
class Suite:
    """What is run: pytest's arguments, in which folder, for how long at most (seconds).

    left_out: files that the command itself writes, which are no input of the suite. only: the node
    ids of the tests that are run; empty: all.
    """

    arguments: tuple[str, ...]
    folder: Path
    timeout: float | None = None
    left_out: tuple[Path, ...] = ()
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GateResult:
    """rows: one per test, worst first. runs: the three inner runs, in order. culprit: which of the
    changes do it; None where nobody looked."""

    old: Side
    new: Side
    rows: tuple[VerdictRow, ...]
    runs: tuple[InnerRun, ...]
    culprit: Culprit | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        return changes(self.old.parts, self.new.parts)

    @property
    def verdict(self) -> GateVerdict:
        statuses = {row.status for row in self.rows}
        if statuses & GUILTY:
            return "drift"
        # All skipped or unstable: an all-clear that has looked at nothing would be a lie.
        return "holds" if "holds" in statuses else "nothing compared"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "verdict": self.verdict,
            "old": self.old.parts,
            "new": self.new.parts,
            "changes": [change.to_json() for change in self.changes],
            "culprit": None if self.culprit is None else self.culprit.to_json(),
            "culprit_search": None if self.culprit is None else self.culprit.search_json(),
            "counts": dict(counts(self.rows)),
            "not_looked_at": len(unseen(self.rows)),
            "tests": [row_json(row) for row in self.rows],
            "seconds": {name: round(run.seconds, 3) for name, run in self._named()},
            "reused": {name: run.reused for name, run in self._named() if run.reused},
        }

    @property
    def taken(self) -> list[str]:
        """Which runs were not made anew, in words."""
        labels = (self.old.label, f"{self.old.label} again", self.new.label)
        return taken(zip(labels, (run.reused for run in self.runs), strict=True))

    def _named(self) -> Iterator[tuple[str, InnerRun]]:
        return zip(("old", "old again", "new"), self.runs, strict=True)


def row_json(row: VerdictRow) -> dict[str, Any]:
    outcome = row.outcome
    return {
        "nodeid": row.nodeid,
        "status": row.status,
        "reason": row.reason,
        "weights": outcome.weights if outcome else None,
        "isolation": outcome.isolation if outcome else None,
        "first_drift": outcome.first_drift if outcome else None,
        "local_drift": list(outcome.local_drift) if outcome else [],
        "unseen": list(outcome.unseen) if outcome else [],
        "tensors": {t.name: t.verdict for t in outcome.tensors if t.judged} if outcome else {},
    }


def gate(
    old: Side,
    new: Side,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
) -> GateResult:
    """Run the suite under `old` twice and under `new` once, in `place`, and say what moved.

    Raises StackError where the old side cannot serve as a measure: it does not run, everything
    in it fails, or nothing in it calls a Keras model.
    """
    first = record(old, suite, place, where, progress)
    jobs = {
        f"{old.label} again": check_job("again", old, suite, place, first),
        new.label: check_job("new", new, suite, place, first),
    }
    again, compared = run_all(jobs, where, progress).values()
    rows = _rows(old, first, again, compared)
    if not _ran(rows):
        demand_importable(new, suite.folder)
    if where.slots > 1 and _may_have_met(rows, (again, compared)):
        again, compared = run_alone(jobs, where, progress).values()
        rows = _rows(old, first, again, compared)
    return GateResult(old, new, rows, (first, again, compared))


def _ran(rows: Sequence[VerdictRow]) -> bool:
    """Whether a test got as far as numbers under the new side."""
    return any(row.outcome is not None and row.outcome.tensors for row in rows)


def _rows(
    old: Side, first: InnerRun, again: InnerRun, compared: InnerRun
) -> tuple[VerdictRow, ...]:
    if again.log is None:
        forget(again)
        raise StackError(f"{old.label}, run a second time: {again.why()}")
    return tuple(rows(first, again, compared))


_OF_COLLISIONS: frozenset[Status] = frozenset({"broke", "unstable", "incomparable"})
"""What tests come to whose files another run wrote over."""


def _may_have_met(rows: Sequence[VerdictRow], runs: Sequence[InnerRun]) -> bool:
    """Where processes of their own did what nobody heard, only another run tells."""
    if not _OF_COLLISIONS.intersection(row.status for row in rows):
        return False
    return any(run.reused is None and evidence.unproven(run.place) for run in runs)


def record(
    side: Side, suite: Suite, place: Path, where: Runner, progress: Progress | None = None
) -> InnerRun:
    """The recording run: its goldens, weights and call inputs lie in `place` afterwards."""
    options = record_options(place / "goldens", place / "weights")
    makes = (place / "goldens", place / "weights")
    job = _job(side, suite, place / "runs" / "first", options, makes)
    run = run_all({side.label: job}, where, progress)[side.label]
    try:
        if run.log is None or "recorded" not in _outcomes(run):
            demand_importable(side, suite.folder)
        _demand_a_measure(side, run)
    except StackError:
        # Whatever spoilt it may be gone when the same command is given again.
        forget(run)
        raise
    return run


def check_job(name: str, side: Side, suite: Suite, place: Path, first: InnerRun) -> Job:
    """A run of `side`, compared with what `record` left in `place`."""
    run = place / "runs" / folder_name(name)
    candidates = run / "candidates"
    recorded = place / "goldens", baseline_of(first), place / "weights"
    options = check_options(*recorded, candidates, _across(side, first))
    given = (place / "goldens", place / "weights")
    return _job(side, suite, run, options, (candidates,), given)


def folder_name(name: str) -> str:
    """Of the run of that name: a side may be a path, and must not lead out of the workspace."""
    if re.fullmatch(r"[\w+][\w.+, -]*", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return re.sub(r"[^\w+-]", "_", name)[:40] + f"-{digest}"


def _job(
    side: Side,
    suite: Suite,
    place: Path,
    options: tuple[str, ...],
    makes: tuple[Path, ...],
    given: tuple[Path, ...] = (),
) -> Job:
    return Job(
        pins=side.pins,
        arguments=suite.arguments,
        options=options,
        folder=suite.folder,
        place=place,
        timeout=suite.timeout,
        environment=side.variables | only_these(suite.only),
        makes=makes,
        given=given,
        left_out=suite.left_out,
        # What another interpreter has installed is not watched.
        resumes=side.python is None,
        called=side.text,
        python=side.python,
    )


def _across(side: Side, first: InnerRun) -> list[str]:
    """What the recording differs in on purpose: sides that name it are compared all the same."""
    backend, recorded = side.parts.get("backend"), _stack_of(first).get("backend")
    differs = backend is not None and recorded is not None and backend != recorded
    policy = ["policy"] if "policy" in side.parts else []
    return [*([str(recorded)] if differs else []), *policy]


def _stack_of(first: InnerRun) -> Mapping[str, Any]:
    return (first.log or {}).get("stack") or {}


def baseline_of(first: InnerRun) -> str:
    """The Keras version that the recording run says it ran."""
    version = _stack_of(first).get("keras")
    if version is None:
        raise StackError(
            f"{first.label}: no test of the suite runs Keras; nothing can be compared.",
            "Name the tests that do behind `--`.",
        )
    return str(version)


def _demand_a_measure(side: Side, run: InnerRun) -> None:
    if run.log is None:
        raise StackError(
            f"Under {side.label} the suite does not run, so there is no measure: {run.why()}",
            "Raise --timeout, or name fewer tests behind `--`."
            if run.timed_out
            else "Make the suite pass under the old version first.",
        )
    outcomes = _outcomes(run)
    if not outcomes and run.internal_error:
        raise StackError(
            f"Under {side.label} pytest itself fails, so there is no measure: {run.internal_error}",
            "Name a side under which the suite runs.",
        )
    if outcomes and set(outcomes) <= {"failed", "error"}:
        raise StackError(
            f"Every test fails under {side.label} already; first: {_first_reason(run)}",
            "Make the suite pass under the old version first.",
        )
    if "recorded" not in outcomes:
        raise StackError(
            f"Nothing to compare: under {side.label} no test calls a Keras model "
            f"({_sentence(outcomes, run) or run.last_line}).",
            "Name tests that do behind `--`, or look at the tests that fail or are skipped.",
        )


def _outcomes(run: InnerRun) -> list[str]:
    return [test.outcome for test in run.tests.values()]


def _first_reason(run: InnerRun) -> str:
    failed = next(iter(run.tests.values()))
    return f"{failed.nodeid}: {failed.reason}"


def _sentence(outcomes: Sequence[str], run: InnerRun) -> str:
    parts = [f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes)]
    parts += filter(None, [asides.only_unseen(asides.unseen(run.tests.values()))])
    parts += [f"{module}: {collection_error(run, module)}" for module in run.broken_collections[:1]]
    return ", ".join(parts)
