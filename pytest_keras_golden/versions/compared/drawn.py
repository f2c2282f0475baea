"""Tests for which both sides draw other numbers of one seed, once more with one stream of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from ...compare.training import BEHIND_LAYERS
from ...errors import StackError
from ...outcomes import LocalOutcome, TestOutcome
from ...report.wording import family_list, plural
from ..inner.job import InnerRun
from .verdicts import VerdictRow, in_order, redrawn, rows

DrawnAlike = Callable[[Collection[str]], tuple[InnerRun, InnerRun]]
"""Node ids → a recording of them on the old side, and a run on the new side that is compared with
it, both of which draw from one stream of random numbers."""

OLD_ALIKE, NEW_ALIKE = "old again, one stream", "new again, one stream"


def beside_draws(
    found: Sequence[VerdictRow], alike: DrawnAlike, runs: dict[str, InnerRun]
) -> tuple[VerdictRow, ...]:
    """The rows; of tests for which a function makes other numbers of one seed, with what is left
    where both sides draw the same."""
    asked = {row.nodeid for row in found if redrawn(row)}
    if not asked:
        return tuple(found)
    try:
        runs[OLD_ALIKE], runs[NEW_ALIKE] = recorded, compared = alike(asked)
    except StackError as error:
        why = f"; the rest could not be compared: {error.problem}"
        return tuple(
            replace(row, reason=f"{row.reason}{why}") if row.nodeid in asked else row
            for row in found
        )
    after = {row.nodeid: row for row in rows(recorded, None, compared)}
    return tuple(in_order(_beside(row, after) if row.nodeid in asked else row for row in found))


def _beside(row: VerdictRow, alike: Mapping[str, VerdictRow]) -> VerdictRow:
    functions, outcome = redrawn(row), row.outcome
    verb = "makes" if len(functions) == 1 else "make"
    said = f"{family_list(functions)} {verb} other numbers of one seed"
    again = alike.get(row.nodeid)
    if again is None or outcome is None or again.status not in ("holds", "moved"):
        status = "it did not run" if again is None else again.reason or again.status
        return replace(row, reason=f"{said}; with numbers from one stream on both sides: {status}")
    if again.status == "moved":
        reason = f"{again.reason} Beside it, {said}: both sides drew from one stream here."
        outcome = None if again.outcome is None else _blaming(again.outcome, functions)
        return replace(again, outcome=outcome, reason=reason, drawn=functions)
    count = sum(t.judged for t in again.outcome.tensors) if again.outcome is not None else 0
    hold = f"{plural(count, 'tensor')} {'holds' if count == 1 else 'hold'}"
    reason = f"{said}; with numbers from one stream on both sides, in place of theirs, {hold}"
    return replace(row, outcome=_blaming(outcome, functions), reason=reason, drawn=functions)


def _blaming(outcome: TestOutcome, functions: Collection[str]) -> TestOutcome:
    """With the functions among what is to blame: who accepts a layer's change has accepted no
    other numbers."""
    made = tuple(
        LocalOutcome(f"random:{name}", BEHIND_LAYERS, "incomparable", cause="random", note=_REDRAWN)
        for name in functions
    )
    names = tuple(layer.name for layer in made)
    blamed = (*outcome.local_drift, *names)
    return replace(outcome, local_drift=blamed, locals=(*outcome.locals, *made))


_REDRAWN = "it makes other numbers of one seed"
