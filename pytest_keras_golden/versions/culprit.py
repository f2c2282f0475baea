"""Which of a red gate's changes do it, and since when, against the recording at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from ..errors import GoldenError
from ..report.escape import first_line
from ..stacks.clone import Clone
from ..stacks.side import Side
from .bisect import MakeSide, Prober, bisect_commits, search_releases
from .changes import Change, Culprit, Since, Unresolved
from .compared.measured import Suite
from .compared.settled import OLD_AGAIN, recorded_again
from .compared.verdicts import is_other
from .gate import GateResult
from .inner.jobs import Runner
from .inner.progress import Progress
from .search.halves import Answer
from .search.minimal import minimal_set

MakeMixture = Callable[[frozenset[str]], Side]
"""Names of the changes taken → the side to run; raises GoldenError where it cannot be had."""

FIRST = ("keras", "backend")
"""Suspected before the others: what every number of a suite goes through."""


def prober_of(
    result: GateResult, suite: Suite, place: Path, where: Runner, progress: Progress | None = None
) -> Prober | None:
    """Who runs what lies between the sides of a red gate, on the tests that moved; None where none
    did."""
    moved = frozenset(row.nodeid for row in result.rows if is_other(row))
    first, again = result.runs["old"], result.runs.get(OLD_AGAIN)
    told = recorded_again(result.runs)
    return (
        Prober(suite, place, where, progress, first, again, moved, moved, told) if moved else None
    )


def find_culprit(
    changed: Sequence[Change],
    needs: Mapping[str, Set[str]],
    make_side: MakeMixture,
    prober: Prober,
) -> Culprit:
    """Search the changes of a red gate. needs: change → changes that it cannot be had without."""
    by_name = {change.name: change for change in changed}
    names = list(by_name)
    if len(names) == 1:
        return Culprit(tuple(changed), 1, 0)
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


def find_release(
    package: str,
    versions: Sequence[str],
    make_side: MakeSide,
    prober: Prober,
    clone: Clone | None = None,
) -> Since:
    """Since which of ascending `versions` of the guilty package: under the first the tests hold,
    under the last they move. clone: goes on to the commits of that release.

    make_side: version → the new side's culprit with this version of the package, the rest as old.
    """
    prober.done, prober.of = [], package
    found = search_releases(versions, make_side, prober, package)
    if clone is not None:
        found = bisect_commits(found, prober, clone, make_side)
    return Since(
        package,
        found.first_bad,
        found.last_good,
        len(found.probes),
        found.releases,
        found.between,
        found.commit,
        found.commit_between,
        len(found.commit_probes),
        found.commit_candidates,
        found.no_commit,
    )
