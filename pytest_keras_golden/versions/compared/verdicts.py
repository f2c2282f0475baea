"""What an old and a new run of the same tests say together: each test in one word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ...compare.calls import OTHER_DRAWS, SHUFFLES, redrawn_in
from ...names import natural
from ...outcomes import FAILING, TensorOutcome, TestOutcome
from ...report import asides
from ..inner.job import InnerRun

Status = Literal[
    "holds",
    "accepted",
    "moved",
    "incomparable",
    "broke",
    "failing before",
    "unstable",
    "skipped",
    "xfailed",
    "no tensors",
    "new",
]
"""holds: compared and inside its tolerance. accepted: it moved as `golden_accepted.toml` allows.
moved: the numbers drifted. incomparable: it ran with other weights, states or inputs. broke:
fails under the new version only, for another reason than numbers. failing before: failed under
the old version already. unstable: differs from itself under the old version. skipped, xfailed: by
pytest, or as expected, under one of the versions. no tensors: calls no Keras model. new: exists
under the new version only."""

GUILTY: frozenset[Status] = frozenset({"moved", "incomparable", "broke"})
"""What the new version is to blame for."""

ORDER: tuple[Status, ...] = (
    *("broke", "moved", "incomparable", "accepted", "unstable", "failing before"),
    *("new", "skipped", "xfailed", "no tensors", "holds"),
)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One test, or one module that could not be collected. outcome: of the run that decided. drawn:
    functions that make other numbers of one seed than on the old side, beside which the rest of the
    test was compared, with numbers from one stream."""

    nodeid: str
    status: Status
    outcome: TestOutcome | None = None
    reason: str | None = None
    drawn: tuple[str, ...] = ()


def rows(
    first: InnerRun,
    again: InnerRun | None,
    new: InnerRun,
    repeated: Collection[str] | None = None,
) -> list[VerdictRow]:
    """A row per test of either run: `first` recorded, `again` repeated it, `new` is compared.

    repeated: the tests that `again` was asked for, where it was not of all.
    """
    return in_order(_rows(first, again, new, repeated))


def unmoved(first: InnerRun) -> Iterator[VerdictRow]:
    """A row per test, where the new version has nothing to do with any: `first` is its run too."""
    for nodeid in first.broken_collections:
        yield VerdictRow(nodeid, "failing before", reason="it could not be collected")
    for test in first.tests.values():
        if test.outcome == "recorded":
            yield VerdictRow(test.nodeid, "holds", test, "it reads nothing of what differs")
        else:
            yield row_of(test, test)


PASSES = "it passes where nothing is recorded, and recorded it does not: "


def fails_recorded(row: VerdictRow) -> bool:
    """Whether a test fails on the old side only because it is recorded there."""
    return row.status == "failing before" and (row.reason or "").startswith(PASSES)


def loads_otherwise(row: VerdictRow) -> bool:
    """Whether a test moved because what it loaded is not what its file holds: any number behind
    that is none of computing."""
    outcome = row.outcome
    told = outcome is not None and any(t.verdict == "loading" for t in outcome.tensors)
    return told and row.status == "moved"


def redrawn(row: VerdictRow) -> tuple[str, ...]:
    """The functions that make other numbers of one seed than on the old side, by name; none where
    the test moved, or something else of it is not comparable."""
    if row.status != "incomparable" or row.outcome is None:
        return ()
    tensors = row.outcome.tensors
    notes = dict.fromkeys(t.note or "" for t in tensors if t.judged and t.verdict == "incomparable")
    said = [redrawn_in(note) for note in notes]
    return tuple(dict.fromkeys(name for names in said for name in names)) if all(said) else ()


def is_other(row: VerdictRow) -> bool:
    """Whether the numbers of a test are others than on the old side."""
    return row.status == "moved" or bool(redrawn(row))


def in_order(rows: Iterable[VerdictRow]) -> list[VerdictRow]:
    """Worst first."""
    return sorted(rows, key=lambda row: (ORDER.index(row.status), natural(row.nodeid), row.nodeid))


def taken(runs: Iterable[tuple[str, str | None]]) -> list[str]:
    """`taken from the run of 2026-11-26 10:12: keras 3.5.0` for each time at which runs were made
    that this command did not make again. runs: pairs of label and `InnerRun.reused`."""
    by_time: dict[str, list[str]] = {}
    for label, at in runs:
        if at is not None:
            by_time.setdefault(at, []).append(label)
    return [f"taken from the run of {at}: {', '.join(by_time[at])}" for at in sorted(by_time)]


def unseen(rows: Iterable[VerdictRow]) -> list[TestOutcome]:
    """The tests without tensors that do use Keras, in ways that are not looked at."""
    outcomes = (row.outcome for row in rows if row.status == "no tensors")
    return asides.unseen(outcome for outcome in outcomes if outcome is not None)


def counts(rows: Iterable[VerdictRow]) -> Counter[Status]:
    return Counter(row.status for row in rows)


def _rows(
    first: InnerRun, again: InnerRun | None, new: InnerRun, repeated: Collection[str] | None
) -> Iterator[VerdictRow]:
    before, after = first.tests, new.tests
    second = again.tests if again else {}
    yield from _uncollected(first, new)
    if new.log is None or _crashed(new) > _crashed(first):
        yield VerdictRow("the whole run", "broke", reason=new.why())
    if new.log is None:
        return
    for nodeid, old in before.items():
        asked = again is not None and (repeated is None or nodeid in repeated)
        unstable = _unstable(old, second.get(nodeid)) if asked else None
        if unstable:
            yield unstable
        elif nodeid in after or not _inside(nodeid, new.broken_collections):
            yield row_of(old, after.get(nodeid))
    for nodeid, outcome in after.items():
        if nodeid not in before and not _inside(nodeid, first.broken_collections):
            yield VerdictRow(nodeid, "new", outcome)


def _crashed(run: InnerRun) -> bool:
    """Whether pytest ended with another code than those for passing and failing tests."""
    return run.exitstatus not in (0, 1)


def _uncollected(first: InnerRun, new: InnerRun) -> Iterator[VerdictRow]:
    for nodeid in first.broken_collections:
        yield VerdictRow(nodeid, "failing before", reason="it could not be collected")
    for nodeid in new.broken_collections:
        if nodeid not in first.broken_collections:
            yield VerdictRow(nodeid, "broke", reason=collection_error(new, nodeid))


def _inside(nodeid: str, modules: Iterable[str]) -> bool:
    """Whether a test lies in a module, or in a folder, that could not be collected."""
    return any(
        module in ("", ".") or nodeid.startswith((f"{module}::", f"{module}/"))
        for module in modules
    )


def collection_error(run: InnerRun, nodeid: str) -> str:
    """The error line that pytest printed below `ERROR collecting …`, where it is still there."""
    _, found, rest = run.output.partition(f"ERROR collecting {nodeid} ")
    own, _, _ = rest.partition("ERROR collecting ")
    lines = [line[4:].strip() for line in own.splitlines() if line.startswith("E   ")]
    return f"it could not be collected: {lines[0]}" if found and lines else "it was not collected"


def _unstable(old: TestOutcome, again: TestOutcome | None) -> VerdictRow | None:
    """The row of a recorded test that the old version's second run could not repeat."""
    if old.outcome != "recorded":
        return None
    if again is None:
        return VerdictRow(old.nodeid, "unstable", reason="it did not run a second time")
    if again.outcome != "passed":
        why = again.reason or f"{again.outcome} the second time"
        return VerdictRow(old.nodeid, "unstable", again, why)
    if not again.tensors:
        return VerdictRow(old.nodeid, "unstable", again, _uncalled(again, "the second time"))
    return None


def row_of(old: TestOutcome, new: TestOutcome | None) -> VerdictRow:
    """What a test did under the new version, given what it did under the old one."""
    if old.outcome in ("failed", "error"):
        return VerdictRow(old.nodeid, "failing before", old, old.reason)
    ended = _NOT_JUDGED.get(old.outcome)
    if ended is not None:
        return VerdictRow(old.nodeid, ended, old, old.reason)
    if new is None:
        return VerdictRow(old.nodeid, "broke", reason="it did not run under the new version")
    return _judged(new, recorded=bool(old.tensors) or old.outcome == "recorded")


_NOT_JUDGED: Mapping[str, Status] = {"skipped": "skipped", "xfailed": "xfailed"}
"""Outcomes of which no number is compared, whatever the other version makes of the test."""


def _judged(new: TestOutcome, recorded: bool) -> VerdictRow:
    ended = _NOT_JUDGED.get(new.outcome)
    if ended is not None:
        return VerdictRow(new.nodeid, ended, new, new.reason)
    if new.outcome == "error":
        return VerdictRow(new.nodeid, "broke", new, new.reason)
    if new.outcome == "failed":
        drawn = _draws_by_backend(new)
        if drawn:
            shuffles = all(SHUFFLES in (tensor.note or "") for tensor in drawn)
            reason = f"it {SHUFFLES}" if shuffles else _WITHOUT_COUNTERPART
            return VerdictRow(new.nodeid, "skipped", new, reason)
        return VerdictRow(new.nodeid, failure_status(new), new, new.reason)
    if new.outcome == "recorded":
        return VerdictRow(new.nodeid, "broke", new, "it was recorded, not compared")
    if recorded and not new.tensors:
        return VerdictRow(new.nodeid, "broke", new, _uncalled(new, "under the new version"))
    return VerdictRow(new.nodeid, "holds" if recorded else "no tensors", new)


_WITHOUT_COUNTERPART = "it draws random numbers, which have no counterpart on another backend"


def _draws_by_backend(outcome: TestOutcome) -> list[TensorOutcome]:
    """What cannot be compared across backends, where random numbers are all that is beyond."""
    beyond = [t for t in outcome.tensors if t.judged and t.verdict in FAILING]
    drawn = [t for t in beyond if t.verdict == "incomparable" and OTHER_DRAWS in (t.note or "")]
    return drawn if "backend" in outcome.stack_changes and len(drawn) == len(beyond) else []


def _uncalled(outcome: TestOutcome, when: str) -> str:
    if outcome.unseen:
        return f"{when} it uses Keras only in ways not looked at: {', '.join(outcome.unseen)}"
    return f"it calls no Keras model {when}"


def failure_status(outcome: TestOutcome) -> Status:
    """Of a failed test: did the numbers do it, a weight that has no counterpart, or neither?"""
    verdicts = {tensor.verdict for tensor in outcome.tensors if tensor.judged}
    drawing = {layer.name for layer in outcome.locals if layer.cause == "random"}
    by_themselves = set(outcome.local_drift) - drawing
    if verdicts & (FAILING - {"incomparable"}) or by_themselves or "systematic" in verdicts:
        return "moved"
    if "incomparable" in verdicts:
        return "incomparable"
    return "broke" if not verdicts & {"accumulated"} else "moved"
