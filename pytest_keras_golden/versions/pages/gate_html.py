"""A gate as the page that reports have: the sentence and its grounds above, each test below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...outcomes import TestOutcome
from ...report.asides import asides, told
from ...report.escape import named
from ...report.html import Entry, Overview, written
from ...report.sentence import headline
from ...report.wording import number, plural
from ...stacks.side import Side
from ..changes import Change
from ..compared.verdicts import VerdictRow, unseen
from ..gate import GateResult
from .alike import Alike, groups
from .conclusion import accepted_lines, carried, culprit_lines, problem_lines, verdict_line
from .next_lines import after_gate, for_test, partner_lines, recorded_lines, unstable_lines
from .sections import compared, compared_heading, not_looked_at

_FILES = 12


def page(result: GateResult) -> str:
    """One HTML file that needs nothing else. Goldens and candidates are read for its pictures,
    where they still are."""
    listed = groups(row for row in result.rows if row.status != "no tensors")
    facts = {
        "errors": [],
        "asides": asides([row.outcome for row in result.rows if row.outcome]),
        "unseen": [[test.nodeid, told(test)] for test in unseen(result.rows)],
    }
    return written(list(_entries(listed, result)), verdict_line(result), facts, _overview(result))


def nothing_differs(said: str) -> str:
    """The page of two locks that pin the same."""
    facts: dict[str, list[object]] = {"errors": [], "asides": [], "unseen": []}
    return written([], said, facts, Overview("Gate", (("Changes", ("none",)),), ()))


def _entries(listed: Iterable[Alike], result: GateResult) -> Iterator[Entry]:
    """The tests of a group follow each other; the first stands for the others."""
    place = 0
    for group in listed:
        # What holds is compared test by test, and each has a page of its own to look at.
        folded = group.first.status != "holds"
        for number_, row in enumerate(group.rows):
            yield _entry(row, result, place if number_ and folded else None)
        place += len(group.rows)


def _entry(row: VerdictRow, result: GateResult, alike: int | None) -> Entry:
    outcome = row.outcome or TestOutcome(row.nodeid, "error", reason=row.reason)
    steps = tuple(for_test(result, row))
    return Entry(outcome, row.status, lead=_lead(row), steps=steps, alike=alike)


def _lead(row: VerdictRow) -> str:
    """What the gate says of a test before its numbers do."""
    said = " ".join((row.reason or "").split())
    if row.outcome is None or not row.outcome.tensors:
        return said
    if row.status == "accepted":
        return f"Accepted, {said}. {headline(row.outcome)}"
    return said if row.status in ("broke", "unstable") and row.outcome.outcome != "failed" else ""


def _overview(result: GateResult) -> Overview:
    told = {
        "Why": problem_lines(result),
        "Sides": [_side("old", result.old), _side("new", result.new)],
        "Changes": _changes(result.changes) or ["none"],
        "Culprit": culprit_lines(result),
        compared_heading(result).capitalize(): [
            *compared(result.rows, _FILES),
            *filter(None, [carried(result.rows)]),
        ],
        "Not compared": not_looked_at(result.rows),
        "Unstable": unstable_lines(result),
        "Only recorded": recorded_lines(result),
        "Other packages": partner_lines(result),
        "Accepted": accepted_lines(result),
        "Runs": [*_runs(result), *result.taken],
    }
    sections = tuple((heading, tuple(lines)) for heading, lines in told.items() if lines)
    return Overview("Gate", sections, tuple(after_gate(result)))


def _side(name: str, side: Side) -> str:
    told = (f"{part} {value or 'as it is'}" for part, value in side.parts.items())
    return f"{name}: {', '.join(told)}"


def _changes(changes: Iterable[Change]) -> list[str]:
    return [f"{named(c.name)} {c.old or 'absent'} → {c.new or 'absent'}" for c in changes]


def _runs(result: GateResult) -> Iterator[str]:
    for name, run in result.runs.items():
        yield f"{name}: {plural(len(run.tests), 'test')} in {number(run.seconds)} s"
