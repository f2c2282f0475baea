"""Tests × versions: every version against the anchor, and against its left neighbour.

The anchor, the first version, records. Every other version runs once, in any order, compared with
the anchor and isolated on its inputs; what changed since the left neighbour is read from the
goldens both runs left behind, so that no run waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version

from ..errors import GoldenError
from ..outcomes import TestOutcome
from ..release import parsed
from ..report.summary import verdict_of
from ..stacks.side import Side
from .compared.demands import NoMeasureError
from .compared.measured import Suite, check_job, record
from .compared.verdicts import GUILTY, VerdictRow, in_order, rows, taken, unmoved
from .gate import Asked, GateVerdict
from .inner.job import InnerRun
from .inner.jobs import Runner, run_all
from .inner.progress import Progress

NEVER_RAN = -1000
"""Stands for an exit status where a version could not even be installed."""

RED = frozenset({*GUILTY, "lost"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One test under one version.

    status: as `verdicts.Status`, or `lost`. left, anchor: verdict against the left neighbour and
    against the anchor, None where there is nothing to compare. since_left: the layers with local
    drift that the left neighbour does not have. outcome: the test against the anchor.
    """

    nodeid: str
    version: str
    status: str
    left: str | None = None
    anchor: str | None = None
    local_drift: tuple[str, ...] = ()
    since_left: tuple[str, ...] = ()
    weights: str | None = None
    reason: str | None = None
    unseen: tuple[str, ...] = ()
    outcome: TestOutcome | None = field(default=None, repr=False)

    @property
    def red(self) -> bool:
        return self.status in RED


@dataclass(frozen=True, slots=True)
class MatrixResult:
    """cells: nodeid → version → cell; every test has a cell under every version. reused: version →
    when it ran, where that run was taken again. problem: as of `GateResult`. asked: by whom a gate
    can be asked for; written: version → the side as it was given."""

    package: str
    versions: tuple[str, ...]
    cells: Mapping[str, Mapping[str, Cell]]
    seconds: Mapping[str, float]
    reused: Mapping[str, str] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    asked: Asked | None = None
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_red(self) -> tuple[str, str] | None:
        """The first version that is red, behind its left neighbour; None where none is."""
        rows = self.cells.values()
        pairs = zip(self.versions, self.versions[1:], strict=False)
        return next((pair for pair in pairs if any(row[pair[1]].red for row in rows)), None)

    @property
    def taken(self) -> list[str]:
        """Which runs were not made anew, in words."""
        return taken((f"{self.package} {version}", at) for version, at in self.reused.items())

    @property
    def guilty(self) -> bool:
        return any(cell.red for row in self.cells.values() for cell in row.values())

    @property
    def uncompared(self) -> tuple[str, ...]:
        """The versions under which not one test was compared with the anchor."""
        rows = self.cells.values()
        compared = (*GUILTY, "holds")
        return tuple(v for v in self.versions if all(row[v].status not in compared for row in rows))

    @property
    def verdict(self) -> GateVerdict:
        if self.guilty:
            return "drift"
        return "nothing compared" if self.uncompared or self.problem else "holds"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "package": self.package,
            "versions": list(self.versions),
            "anchor": self.versions[0],
            "verdict": self.verdict,
            "problem": None if self.problem is None else self.problem[0],
            "cells": [_cell_json(cell) for row in self.cells.values() for cell in row.values()],
            "seconds": {version: round(took, 3) for version, took in self.seconds.items()},
            "reused": dict(self.reused),
        }


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "nodeid": cell.nodeid,
        "version": cell.version,
        "status": cell.status,
        "left": cell.left,
        "anchor": cell.anchor,
        "local_drift": list(cell.local_drift),
        "since_left": list(cell.since_left),
        "weights": cell.weights,
        "reason": cell.reason,
        "unseen": list(cell.unseen),
    }


def matrix(
    sides: Sequence[Side],
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
    missing: Mapping[str, str] | None = None,
    package: str = "keras",
) -> MatrixResult:
    """Run the suite under every side; the first is the anchor. Finished runs stay in `place`.

    missing: version → why it cannot be had; its cells are `lost`.
    Raises StackError where the anchor cannot serve as a measure.
    """
    first = record(sides[0], suite, place, where, progress)
    jobs = {"again": check_job("again", sides[0], suite, place, first)}
    jobs |= {
        _version(side): check_job(_version(side), side, suite, place, first) for side in sides[1:]
    }
    runs = run_all(jobs, where, progress)
    again = runs.pop("again")
    runs |= {version: _never_ran(version, why, place) for version, why in (missing or {}).items()}
    order = [_version(side) for side in sides[1:]]
    return assemble(_version(sides[0]), package, first, again, runs, order)


def written(sides: Iterable[Side]) -> dict[str, str]:
    """Column → its side, as a command takes it."""
    return {_version(side): side.text or _version(side) for side in sides}


def unmeasured(anchor: Side, package: str, error: GoldenError) -> MatrixResult:
    """What is known of the anchor where it cannot serve as a measure: its column alone."""
    version = _version(anchor)
    run = error.run if isinstance(error, NoMeasureError) else None
    rows = in_order(unmoved(run)) if run is not None else []
    cells = {row.nodeid: {version: _cell(row, version, None, 0)} for row in rows}
    seconds = {} if run is None else {version: run.seconds}
    problem = (error.problem, error.fix)
    return MatrixResult(package, (version,), cells, seconds, problem=problem)


def _never_ran(version: str, why: str, place: Path) -> InnerRun:
    return InnerRun(version, NEVER_RAN, 0.0, place, output=why)


def assemble(
    anchor: str,
    package: str,
    first: InnerRun,
    again: InnerRun,
    runs: Mapping[str, InnerRun],
    order: Sequence[str] = (),
) -> MatrixResult:
    """The table from finished runs; `runs`: version → run, without the anchor.

    order: of the columns, where they are more than versions, which are in their own.
    """
    columns = {anchor: (again, _by_test(rows(first, again, again)))}
    for version in _ordered(runs, order):
        run = runs[version]
        columns[version] = (run, _by_test(rows(first, again, run)) if run.log is not None else {})
    tests = dict.fromkeys(nodeid for _, found in columns.values() for nodeid in found)
    cells = {nodeid: dict(_row(nodeid, columns)) for nodeid in tests}
    seconds = {anchor: first.seconds, **{version: run.seconds for version, run in runs.items()}}
    every = {anchor: first, f"{anchor} again": again, **runs}
    reused = {version: run.reused for version, run in every.items() if run.reused}
    return MatrixResult(package, tuple(columns), cells, seconds, reused)


def _ordered(runs: Iterable[str], order: Sequence[str]) -> list[str]:
    names = list(runs)
    if all(parsed(name) for name in names):
        return sorted(names, key=Version)
    return [*(n for n in order if n in names), *(n for n in names if n not in order)]


def _version(side: Side) -> str:
    """What its column is called."""
    return side.short


def _by_test(rows: Sequence[VerdictRow]) -> dict[str, VerdictRow]:
    return {row.nodeid: row for row in rows}


def _row(
    nodeid: str, columns: Mapping[str, tuple[InnerRun, Mapping[str, VerdictRow]]]
) -> Iterator[tuple[str, Cell]]:
    left: TestOutcome | None = None
    for place, (version, (run, found)) in enumerate(columns.items()):
        row = found.get(nodeid)
        outcome = row.outcome if row else None
        if row is None:
            yield version, _without_row(nodeid, version, run)
        else:
            yield version, _cell(row, version, left, place)
        left = outcome


def _without_row(nodeid: str, version: str, run: InnerRun) -> Cell:
    if run.exitstatus == NEVER_RAN:
        return Cell(nodeid, version, "lost", reason=run.output)
    if run.log is None:
        return Cell(nodeid, version, "lost" if run.lost else "broke", reason=run.why())
    return Cell(nodeid, version, "skipped", reason="not there under this version")


def _cell(row: VerdictRow, version: str, left: TestOutcome | None, place: int) -> Cell:
    """place: of the column; the anchor's is the first."""
    outcome = row.outcome
    if outcome is None or not outcome.tensors:
        unseen = outcome.unseen if outcome else ()
        return Cell(
            row.nodeid, version, row.status, reason=row.reason, unseen=unseen, outcome=outcome
        )
    guilty = outcome.local_drift
    known = left.local_drift if left is not None else ()
    anchored = None if row.status == "new" else verdict_of(outcome)
    if place == 0 or left is None:
        beside = None
    else:
        # Beside the anchor the run itself has judged it, as its suite would: `golden_precision`
        # and what isolation found are in no golden.
        beside = anchored if place == 1 else against(left, outcome)
    return Cell(
        nodeid=row.nodeid,
        version=version,
        status=row.status,
        left=beside,
        anchor=anchored,
        local_drift=guilty,
        since_left=tuple(name for name in guilty if name not in known),
        weights=outcome.weights,
        reason=row.reason,
        unseen=outcome.unseen,
        outcome=outcome,
    )


def against(left: TestOutcome, right: TestOutcome) -> str | None:
    """The verdict of one version's tensors against another's, from the goldens both left."""
    paths = [outcome.candidate or outcome.golden for outcome in (left, right)]
    if None in paths:
        return None
    if paths[0] == paths[1]:
        return "identical"
    from ..case.pair import compare
    from ..store.codec import Golden

    try:
        with Golden.open(Path(str(paths[0]))) as a, Golden.open(Path(str(paths[1]))) as b:
            return verdict_of(compare(a, b, None, ()))
    except (GoldenError, OSError):
        # A candidate that a killed run left half-done is no reason to lose the whole table.
        return None
