"""May this bump go in? The old side records, the new side is compared; what differs is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import GoldenError
from ..outcomes import TensorOutcome, TestOutcome, to_json
from ..stacks.side import Side
from .accepted import Acceptance
from .changes import Change, Culprit, changes
from .compared.demands import NoMeasureError
from .compared.drawn import beside_draws
from .compared.measured import Suite, stack_of
from .compared.plainly import told_apart
from .compared.reruns import Reruns
from .compared.settled import settled
from .compared.verdicts import GUILTY, VerdictRow, counts, in_order, taken, unmoved, unseen
from .inner.importing import demand_importable
from .inner.job import InnerRun
from .inner.jobs import Runner
from .inner.progress import Progress, Silent
from .review import NOTHING_ACCEPTED, Review, review
from .untouched import untouched

GateVerdict = Literal["holds", "drift", "nothing compared"]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a gate or a search was asked for, for whoever words the command that comes next.

    options: those that decide what runs. arguments: pytest's. json: the file that has the result;
    html: whether a page has it. package: what a version by itself is one of. accepted: the file
    that was named for drift that may pass.
    """

    old: str
    new: str
    folder: Path
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    json: str | None = None
    html: bool = False
    package: str = "keras"
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """rows: one per test, worst first. runs: the inner runs by name, `old` and `new` first, then
    those that repeated what differed. review: what of the drift was accepted before. asked: by
    whom it can be asked again. culprit: which of the changes do it; None where nobody looked.
    untouched: the suite reads nothing of what differs, and the new side was not run. problem: why
    nothing could be compared, and what to do, where the old side cannot serve as a measure."""

    old: Side
    new: Side
    rows: tuple[VerdictRow, ...]
    runs: Mapping[str, InnerRun]
    review: Review = NOTHING_ACCEPTED
    asked: Asked | None = None
    culprit: Culprit | None = None
    untouched: bool = False
    problem: tuple[str, str] | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        return changes(self.old.parts, self.new.parts)

    @property
    def verdict(self) -> GateVerdict:
        statuses = {row.status for row in self.rows}
        if self.problem is not None:
            return "nothing compared"
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
            "untouched": self.untouched,
            "problem": None if self.problem is None else self.problem[0],
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


def unmeasured(old: Side, new: Side, error: GoldenError) -> GateResult:
    """What is known where nothing could be compared: the tests of the run that should have been the
    measure, as far as it came."""
    problem = (error.problem, error.fix)
    if not isinstance(error, NoMeasureError):
        return GateResult(old, new, (), {}, problem=problem)
    rows = tuple(in_order(unmoved(error.run)))
    return GateResult(old, new, rows, {"old": error.run}, problem=problem)


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
    reruns = Reruns(old, new, suite, place, where, progress or Silent())
    first = reruns.first
    if untouched(first, old, new):
        return GateResult(old, new, tuple(in_order(unmoved(first))), {"old": first}, untouched=True)
    compared = reruns.compared
    if not any(test.tensors for test in compared.tests.values()):
        demand_importable(new, suite.folder)
    found = settled(first, compared, reruns.old_again, reruns.new_again)
    runs = {"old": first, "new": compared, **found.runs}
    rows = told_apart(found.rows, reruns.old_plainly, runs)
    rows = beside_draws(rows, reruns.alike, runs)
    reviewed = review(rows, accepted, changes(old.parts, new.parts), versions_of(old, first))
    return GateResult(old, new, reviewed.rows, runs, reviewed)


def versions_of(side: Side, run: InnerRun) -> dict[str, str]:
    """Package → version on one side: its pins, and what its run says of the rest."""
    stack = stack_of(run)
    told = {"keras": stack.get("keras"), "keras-hub": stack.get("keras_hub")}
    told |= {str(stack.get("backend")): stack.get("backend_version"), "numpy": stack.get("numpy")}
    known = {name: str(version) for name, version in told.items() if version}
    return known | {pin.package: pin.version for pin in side.pins}
