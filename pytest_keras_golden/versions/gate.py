"""May this bump go in? The old side records, the new side is compared; what differs is repeated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import StackError
from ..outcomes import TensorOutcome, TestOutcome, to_json
from ..report import asides
from ..report.wording import plural
from ..stacks.side import Side
from .accepted import Acceptance
from .changes import Change, Culprit, changes
from .inner.importing import demand_importable
from .inner.job import InnerRun, Job
from .inner.jobs import Runner, run_all
from .inner.progress import FirstVerdict, Progress, Silent
from .inner.run import TWINS_LATER, TWINS_NOW, check_options, forget, record_options
from .repeats import settled
from .review import NOTHING_ACCEPTED, Review, review
from .trace.selected import selection
from .verdicts import GUILTY, VerdictRow, collection_error, counts, taken, unseen

GateVerdict = Literal["holds", "drift", "nothing compared"]


@dataclass(frozen=True, slots=True)
class Suite:
    """What is run: pytest's arguments, in which folder, for how long at most (seconds).

    left_out: files that the command itself writes, which are no input of the suite.
    """

    arguments: tuple[str, ...]
    folder: Path
    timeout: float | None = None
    left_out: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """How a gate or a search was asked for, for whoever words the command that comes next.

    options: those that decide what runs. arguments: pytest's. json: the file that has the result;
    html: whether a page has it.
    """

    old: str
    new: str
    folder: Path
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    json: str | None = None
    html: bool = False


@dataclass(frozen=True, slots=True)
class GateResult:
    """rows: one per test, worst first. runs: the inner runs by name, `old` and `new` first, then
    those that repeated what differed. review: what of the drift was accepted before. asked: by
    whom it can be asked again. culprit: which of the changes do it; None where nobody looked."""

    old: Side
    new: Side
    rows: tuple[VerdictRow, ...]
    runs: Mapping[str, InnerRun]
    review: Review = NOTHING_ACCEPTED
    asked: Asked | None = None
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
        return "holds" if statuses & {"holds", "accepted"} else "nothing compared"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "verdict": self.verdict,
            "old": self.old.parts,
            "new": self.new.parts,
            "changes": [change.to_json() for change in self.changes],
            "culprit": None if self.culprit is None else self.culprit.to_json(),
            "culprit_search": None if self.culprit is None else self.culprit.search_json(),
            "accepted": [
                {**entry.to_json(), "tests": list(nodeids)}
                for entry, nodeids in self.review.used.items()
            ],
            "accepted_unused": [entry.to_json() for entry in self.review.unused],
            "accepted_expired": [entry.to_json() for entry in self.review.expired],
            "counts": dict(counts(self.rows)),
            "not_looked_at": len(unseen(self.rows)),
            "tests": [row_json(row) for row in self.rows],
            "seconds": {name: round(run.seconds, 3) for name, run in self.runs.items()},
            "reused": {name: run.reused for name, run in self.runs.items() if run.reused},
        }

    @property
    def taken(self) -> list[str]:
        """Which runs were not made anew, in words."""
        sides = {"old": self.old.label, "new": self.new.label}
        named = ((name.partition(" "), run.reused) for name, run in self.runs.items())
        return taken((f"{sides[side]}{space}{rest}", at) for (side, space, rest), at in named)


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
        "numbers": numbers_of(outcome),
        "locals": [to_json(layer) for layer in outcome.locals] if outcome else [],
    }


NUMBERS = (
    *("k", "tolerance", "rel_l2", "max_abs", "max_rel", "cosine", "mismatches", "max_ulp"),
    *("bias", "bias_t", "detects"),
)
"""What is measured of a tensor, by the names that outcomes have for it."""


def numbers_of(outcome: TestOutcome | None) -> dict[str, Any]:
    """Judged tensor → everything that was measured of it."""
    tensors = outcome.tensors if outcome else ()
    return {tensor.name: _numbers(tensor) for tensor in tensors if tensor.judged}


def _numbers(tensor: TensorOutcome) -> dict[str, Any]:
    told = {name: to_json(getattr(tensor, name)) for name in NUMBERS}
    return told | ({"note": tensor.note} if tensor.note else {})


def gate(
    old: Side,
    new: Side,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
    accepted: Sequence[Acceptance] = (),
) -> GateResult:
    """Run the suite under `old` and under `new`, in `place`, repeat what differs, and say what
    moved. accepted: what may move.

    Raises StackError where the old side cannot serve as a measure: it does not run, everything
    in it fails, or nothing in it calls a Keras model.
    """
    told = progress or Silent()
    first = record(old, suite, place, where, told, f"run 1 of 2: {old.label}", (TWINS_LATER,))
    label = f"run 2 of 2: {new.label}"
    job = check_job("new", new, suite, place, first)
    watching = FirstVerdict(told, new.label, first)
    compared = run_all({label: job}, where, watching, {label: first.seconds})[label]

    def run_again(side: Side, job: Job, only: Collection[str] | None) -> InnerRun:
        key = f"{side.label} again, {plural(len(only), 'test') if only else 'the whole suite'}"
        return run_all({key: job}, where, told)[key]

    def old_again(only: Collection[str] | None) -> InnerRun:
        name = "again" if only else "again-whole"
        job = check_job(name, old, suite, place, first, only)
        return run_again(old, replace(job, options=(*job.options, TWINS_NOW)), only)

    def new_again(only: Collection[str] | None, against: InnerRun | None) -> InnerRun:
        name = "new-again" if only else "new-again-whole"
        job = check_job(name, new, suite, place, first, only, against)
        return run_again(new, job, only)

    if not any(test.tensors for test in compared.tests.values()):
        demand_importable(new, suite.folder)
    found = settled(first, compared, old_again, new_again)
    runs = {"old": first, "new": compared, **found.runs}
    reviewed = review(found.rows, accepted, changes(old.parts, new.parts), versions_of(old, first))
    return GateResult(old, new, reviewed.rows, runs, reviewed)


def versions_of(side: Side, run: InnerRun) -> dict[str, str]:
    """Package → version on one side: its pins, and what its run says of the rest."""
    stack = (run.log or {}).get("stack") or {}
    told = {"keras": stack.get("keras"), "keras-hub": stack.get("keras_hub")}
    told |= {str(stack.get("backend")): stack.get("backend_version"), "numpy": stack.get("numpy")}
    known = {name: str(version) for name, version in told.items() if version}
    return known | {pin.package: pin.version for pin in side.pins}


def record(
    side: Side,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
    label: str | None = None,
    options: tuple[str, ...] = (),
) -> InnerRun:
    """The recording run: its goldens, weights and call inputs lie in `place` afterwards."""
    options = (*record_options(place / "goldens", place / "weights"), *options)
    makes = (place / "goldens", place / "weights")
    label = label or side.label
    job = _job(side, suite, place / "runs" / "first", options, makes)
    run = run_all({label: job}, where, progress)[label]
    try:
        if run.log is None or "recorded" not in _outcomes(run):
            demand_importable(side, suite.folder)
        _demand_a_measure(side, run)
    except StackError:
        # Whatever spoilt it may be gone when the same command is given again.
        forget(run)
        raise
    return run


def check_job(
    name: str,
    side: Side,
    suite: Suite,
    place: Path,
    first: InnerRun,
    only: Collection[str] | None = None,
    against: InnerRun | None = None,
) -> Job:
    """A run of `side`, compared with what `record` left in `place`. only: these tests. against: the
    run under the recording's side whose candidates are compared with instead."""
    run = place / "runs" / folder_name(name)
    candidates = run / _CANDIDATES
    goldens = place / "goldens" if against is None else against.place / _CANDIDATES
    recorded = goldens, baseline_of(first), place / "weights"
    options = check_options(*recorded, candidates, _across(side, first))
    given = (goldens, place / "weights")
    job = _job(side, suite, run, options, (candidates,), given)
    if not only:
        return job
    chosen = selection(run.with_name(f"{run.name}.only.json"), only)
    return replace(job, environment={**job.environment, **chosen})


_CANDIDATES = "candidates"


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
        environment=side.variables,
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
