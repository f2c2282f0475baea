"""Which of a red gate's changes do it: mixtures of both sides, against the recording at hand."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ..errors import GoldenError
from ..report.escape import first_line
from ..stacks.side import Side
from .bisect import Prober
from .changes import Change, Culprit, Unresolved
from .gate import GateResult
from .inner.jobs import Runner
from .inner.progress import Progress
from .measured import Suite
from .repeats import OLD_AGAIN, recorded_again
from .search.halves import Answer
from .search.minimal import minimal_set

MakeMixture = Callable[[frozenset[str]], Side]
"""Names of the changes taken → the side to run; raises GoldenError where it cannot be had."""

FIRST = ("keras", "backend")
"""Suspected before the others: what every number of a suite goes through."""


def find_culprit(
    result: GateResult,
    needs: Mapping[str, Set[str]],
    make_side: MakeMixture,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
) -> Culprit | None:
    """Search the changes of a red gate on the tests that moved; None where none did.

    needs: change → changes that it cannot be had without.
    """
    moved = frozenset(row.nodeid for row in result.rows if row.status == "moved")
    by_name = {change.name: change for change in result.changes}
    if not moved or not by_name:
        return None
    names = list(by_name)
    if len(names) == 1:
        return Culprit(result.changes, 1, 0)
    first, again = result.runs["old"], result.runs.get(OLD_AGAIN)
    told = recorded_again(result.runs)
    prober = Prober(suite, place, where, progress, first, again, moved, moved, told)
    reasons: dict[frozenset[str], str] = {}

    def probe(taken: frozenset[str]) -> Answer:
        label = _label(taken, len(names), len(prober.done))
        try:
            side = make_side(taken)
        except GoldenError as error:
            reasons[taken] = first_line(error.problem)
            return "skip"
        done = prober.probe(label, lambda: replace(side, text=label))
        reasons[taken] = done.reason
        return done.answer

    suspects = [name for name in FIRST if name in by_name]
    found = minimal_set(names, needs, probe, suspects)
    return Culprit(
        changes=tuple(by_name[name] for name in names if name in found.members),
        among=len(names),
        probes=found.probes,
        unresolved=tuple(
            Unresolved(tuple(sorted(taken)), reasons.get(taken, "")) for taken in found.unresolved
        ),
        rest=found.rest,
        tied=_tied(found.members, needs),
    )


def _tied(members: frozenset[str], needs: Mapping[str, Set[str]]) -> frozenset[str]:
    """Those that another member, by a shorter name, cannot be had without."""
    return frozenset(
        name
        for name in members
        for other in members
        if name in needs.get(other, ()) and len(other) < len(name)
    )


def _label(taken: frozenset[str], among: int, count: int) -> str:
    """Of a probe, and of the folder of its run."""
    what = sorted(taken)[0] if len(taken) == 1 else f"{len(taken)} of {among} changes"
    return f"probe {count + 1}, {what}"


def bisect_line(culprit: Culprit, sides: Sequence[str], arguments: Sequence[str]) -> str | None:
    """What to type to go on to the release; None where no package is to blame.

    sides: as they were written. Of several changes the others are held as they are on the new side.
    """
    packages = sorted((c for c in culprit.changes if c.is_package), key=lambda c: len(c.name))
    if not packages or None in (packages[0].old, packages[0].new):
        return None
    varied, tied = packages[0], culprit.tied
    held = [c for c in culprit.changes if c != varied and c.name not in tied]
    ends = [",".join([str(end), *map(_part, held)]) for end in (varied.old, varied.new)]
    named = ends if held else sides
    words = ["keras-golden", "bisect", *named]
    words += ["--package", varied.name] if varied.name != "keras" else []
    return shlex.join([*words, "--", *arguments])


def _part(change: Change) -> str:
    """As a side names what the new side has."""
    return f"{change.name}{'==' if change.is_package else '='}{change.new}"
