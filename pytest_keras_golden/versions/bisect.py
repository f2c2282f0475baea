"""Since when does it drift? The release, by binary search, then the commit within it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import StackError
from ..report.escape import first_line
from ..stacks.clone import Clone, Commit, overlay_of_commit
from ..stacks.overlay.neighbours import ensure_runnable
from ..stacks.pin import Pin
from ..stacks.side import Side
from .compared.measured import Suite, check_job, record
from .compared.verdicts import GUILTY, VerdictRow, is_other, rows, taken
from .gate import Asked, numbers_of
from .inner.job import InnerRun
from .inner.jobs import Runner, run_all
from .inner.progress import Progress
from .search.commits import first_bad_commit
from .search.halves import Answer, Found, first_bad

MakeSide = Callable[[str], Side]
"""Version → the side to run; raises StackError where the version cannot be had."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One version or commit that was run. moved: the tests that drifted."""

    name: str
    answer: Answer
    reason: str
    rows: tuple[VerdictRow, ...] = ()

    @property
    def moved(self) -> tuple[VerdictRow, ...]:
        return tuple(filter(is_other, self.rows))


@dataclass(frozen=True, slots=True)
class BisectResult:
    """What the search came to. probes: every inner run that was judged, in order.

    between: releases that could not be tested and may be the first bad themselves. releases,
    commit_candidates: how many the two searches were over. reused: probe → when it ran, where that
    run was taken again.
    """

    package: str
    good: str
    bad: str
    first_bad: str
    last_good: str
    between: tuple[str, ...]
    probes: tuple[Probe, ...]
    releases: int
    commit: Commit | None = None
    commit_between: tuple[str, ...] = ()
    commit_candidates: int = 0
    commit_probes: tuple[Probe, ...] = ()
    no_commit: str | None = None
    reused: Mapping[str, str] = field(default_factory=dict)
    asked: Asked | None = None

    @property
    def taken(self) -> list[str]:
        """Which runs were not made anew, in words."""
        return taken((f"{self.package} {name}", at) for name, at in self.reused.items())

    @property
    def skipped(self) -> tuple[Probe, ...]:
        return tuple(p for p in (*self.probes, *self.commit_probes) if p.answer == "skip")

    @property
    def guilty(self) -> tuple[VerdictRow, ...]:
        """The tests that moved at the culprit."""
        name = self.commit.sha if self.commit is not None else self.first_bad
        probes = [p for p in (*self.commit_probes, *self.probes) if p.name == name]
        at_release = [p for p in self.probes if p.name == self.first_bad]
        return next((p.moved for p in (*probes, *at_release)), ())

    @property
    def local_drift(self) -> tuple[str, ...]:
        named = (name for row in self.guilty if row.outcome for name in row.outcome.local_drift)
        return tuple(dict.fromkeys(named))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "package": self.package,
            "good": self.good,
            "bad": self.bad,
            "first_bad": self.first_bad,
            "last_good": self.last_good,
            "between": list(self.between),
            "probes": len(self.probes),
            "commit_probes": len(self.commit_probes),
            "releases": self.releases,
            "commits": self.commit_candidates,
            "skipped": [{"version": p.name, "reason": p.reason} for p in self.skipped],
            "commit": None if self.commit is None else self.commit.to_json(),
            "commit_between": list(self.commit_between),
            "no_commit": self.no_commit,
            "local_drift": list(self.local_drift),
            "tests": [row.nodeid for row in self.guilty],
            "numbers": {row.nodeid: numbers_of(row.outcome) for row in self.guilty},
            "reused": dict(self.reused),
        }


@dataclass(slots=True)
class Prober:
    """Runs one candidate after the other against the recording of the good end.

    again: the good end's second run. watched: the tests that moved at the bad end.
    only: the tests that are run; empty: all. against: see `check_job`. of: what the candidates are
    versions of, where that is not plain.
    """

    suite: Suite
    place: Path
    where: Runner
    progress: Progress | None
    first: InnerRun
    again: InnerRun | None = None
    watched: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    against: InnerRun | None = None
    of: str = ""
    done: list[Probe] = field(default_factory=list)
    reused: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, side: Side) -> InnerRun:
        job = check_job(name, side, self.suite, self.place, self.first, self.only, self.against)
        label = f"{self.of} {name}".strip()
        run = run_all({label: job}, self.where, self.progress)[label]
        if run.reused:
            self.reused[name] = run.reused
        return run

    def probe(self, name: str, side: Callable[[], Side]) -> Probe:
        """Run a candidate; one that cannot be had, or cannot run the tests, is skipped."""
        try:
            run = self.run(name, side())
            self.again = self.again or run
            answer = judged(name, self.first, self.again, run, self.watched)
        except StackError as error:
            answer = Probe(name, "skip", first_line(error.problem))
        self.done.append(answer)
        return answer


def judged(
    name: str,
    first: InnerRun,
    again: InnerRun | None,
    run: InnerRun,
    watched: frozenset[str] = frozenset(),
) -> Probe:
    """Bad where numbers drift, good where they hold, untestable where tests only break.

    watched: the tests whose drift is looked for; empty: every test. One of them that breaks, or
    is skipped, may have drifted as well: the candidate is not good then.
    """
    if run.log is None:
        return Probe(name, "skip", first_line(run.why()))
    everything = rows(first, again, run)
    found = tuple(row for row in everything if not watched or row.nodeid in watched)
    moved = list(filter(is_other, found))
    if moved:
        return Probe(name, "bad", f"{len(moved)} moved", found)
    held = {row.nodeid for row in found if row.status == "holds"}
    broke = [row for row in everything if row.status in GUILTY]
    untested = watched - held if watched else broke
    if untested or not held:
        return Probe(name, "skip", _why_untested([*broke, *found]), found)
    return Probe(name, "good", f"{len(held)} hold", found)


def _why_untested(candidates: Sequence[VerdictRow]) -> str:
    row = next((row for row in candidates if row.status != "holds"), None)
    return (
        "no test could be compared" if row is None else f"{row.nodeid}: {row.reason or row.status}"
    )


def bisect_releases(
    versions: Sequence[str],
    make_side: MakeSide,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
    package: str = "keras",
) -> tuple[BisectResult, Prober]:
    """Search ascending `versions`, the first of which must hold and the last drift.

    Raises StackError where the ends are not good and bad. The prober goes on to commits.
    """
    good = make_side(versions[0])
    first = record(good, suite, place, where, progress)
    prober = Prober(suite, place, where, progress, first)
    if first.reused:
        prober.reused[f"{versions[0]}, recording"] = first.reused
    _check_ends(versions, make_side, prober)
    return search_releases(versions, make_side, prober, package), prober


def search_releases(
    versions: Sequence[str], make_side: MakeSide, prober: Prober, package: str
) -> BisectResult:
    """As `bisect_releases`, where both ends are known to be what they have to be."""
    search = first_bad(versions, lambda v: prober.probe(v, lambda: make_side(v)).answer)
    return _result(package, versions, search, prober)


def _check_ends(versions: Sequence[str], make_side: MakeSide, prober: Prober) -> None:
    good, bad = versions[0], versions[-1]
    start = prober.probe(good, lambda: make_side(good))
    if start.answer != "good":
        raise StackError(
            f"The good end is not good: {good} against itself is {start.answer} ({start.reason}).",
            "Leave out tests that differ from run to run, or fix their seed.",
        )
    end = prober.probe(bad, lambda: make_side(bad))
    prober.watched = frozenset(row.nodeid for row in end.moved)
    if end.answer != "bad":
        raise StackError(
            f"The bad end does not drift: {bad} against {good} is {end.answer} ({end.reason}).",
            "Name two versions between which a test drifts: keras-golden gate GOOD BAD shows it.",
        )


def _result(
    package: str, versions: Sequence[str], search: Found[str], prober: Prober
) -> BisectResult:
    return BisectResult(
        package=package,
        good=versions[0],
        bad=versions[-1],
        first_bad=search.first_bad,
        last_good=search.last_good,
        between=search.between,
        probes=tuple(prober.done),
        releases=len(versions),
        reused=dict(prober.reused),
    )


def bisect_commits(
    result: BisectResult, prober: Prober, clone: Clone, make_side: MakeSide
) -> BisectResult:
    """Go on to the commits between the last good release and the first bad one.

    Where the clone cannot serve, the result says why in `no_commit`.
    """
    prober.done = []
    try:
        base = make_side(result.last_good)
        release = ensure_runnable(result.package, result.last_good)

        def side(sha: str) -> Side:
            overlay = overlay_of_commit(clone, sha, result.first_bad, release)
            pins = (Pin(result.package, sha, overlay), *base.pins[1:])
            return replace(base, pins=pins)

        search = first_bad_commit(
            clone,
            clone.release(result.last_good),
            clone.release(result.first_bad),
            lambda sha: prober.probe(sha, lambda: side(sha)).answer,
        )
    except StackError as error:
        said = str(error)
        return replace(
            result, no_commit=said, commit_probes=tuple(prober.done), reused=dict(prober.reused)
        )
    return replace(
        result,
        commit=clone.describe(search.first_bad),
        commit_between=search.between,
        commit_candidates=search.candidates,
        commit_probes=tuple(prober.done),
        reused=dict(prober.reused),
    )
