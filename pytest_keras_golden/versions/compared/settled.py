"""What differs is repeated: on the old side for its noise floor and its twins, on the new one for
causes and where tests broke."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ...errors import StackError
from ...outcomes import TensorOutcome, TestOutcome
from ..inner.job import InnerRun
from ..inner.run import forget
from .verdicts import GUILTY, VerdictRow, in_order, row_of, rows

OldAgain = Callable[[Collection[str] | None], InnerRun]
"""Node ids, or None for the whole suite → a run of them on the old side, which leaves goldens with
twins."""

NewAgain = Callable[[Collection[str] | None, InnerRun | None], InnerRun]
"""The same on the new side, compared with what such a run has left; None: with the recording."""

OLD_AGAIN, NEW_AGAIN = "old again", "new again"
_WHOLE = ", the whole suite"


@dataclass(frozen=True, slots=True)
class Settled:
    """rows: a verdict per test. runs: what had to be repeated for them, by name."""

    rows: tuple[VerdictRow, ...]
    runs: dict[str, InnerRun]


def settled(
    first: InnerRun, compared: InnerRun, old_again: OldAgain, new_again: NewAgain
) -> Settled:
    """Judge the new side's run, and repeat what it has against the new side, or what moved so
    little that only causes can say whether it matters.

    Raises StackError where the old side cannot be run a second time.
    """
    runs: dict[str, InnerRun] = {}
    found = rows(first, None, compared)
    suspects = _suspects(found, first)
    if suspects:
        found = _with_noise_floor(suspects, first, compared, old_again, runs)
    asked = {row.nodeid for row in found if _is_open(row)} & compared.tests.keys()
    if asked:
        found = _repeated(found, asked, first, new_again, runs)
    return Settled(tuple(in_order(found)), runs)


def recorded_again(runs: Mapping[str, InnerRun]) -> InnerRun | None:
    """The run that left goldens with twins of what moved; None where nothing was repeated."""
    return runs.get(OLD_AGAIN + _WHOLE) or runs.get(OLD_AGAIN)


# -- on the old side ------------------------------------------------------------------------


def _suspects(found: Collection[VerdictRow], first: InnerRun) -> frozenset[str]:
    recorded = {nodeid for nodeid, test in first.tests.items() if test.outcome == "recorded"}
    open_ = frozenset(row.nodeid for row in found if row.status in GUILTY or _is_open(row))
    return open_ & recorded


def _with_noise_floor(
    suspects: frozenset[str],
    first: InnerRun,
    compared: InnerRun,
    old_again: OldAgain,
    runs: dict[str, InnerRun],
) -> list[VerdictRow]:
    again = runs[OLD_AGAIN] = old_again(suspects)
    found = rows(first, again, compared, suspects)
    unlike = {row.nodeid for row in found if row.status == "unstable"}
    if unlike and suspects < first.tests.keys():
        # Run without the others, a test may lack what they leave behind for it.
        again = runs[OLD_AGAIN + _WHOLE] = old_again(None)
        found = rows(first, again, compared, suspects)
    if again.log is None:
        forget(again)
        raise StackError(f"{first.label}, run a second time: {again.why()}")
    return found


# -- on the new side ------------------------------------------------------------------------

_OF_CHANCE = frozenset({"broke", "incomparable"})
"""What tests also come to by chance: a file that another process wrote over, a server that was
not there. Numbers that moved on top of a noise floor are none."""


def _is_open(row: VerdictRow) -> bool:
    """Whether another run can say more: what broke may have broken by chance, and layers that were
    measured alone have causes where the golden has twins, which condemn or excuse them."""
    if row.status in _OF_CHANCE:
        return True
    outcome = row.outcome
    if row.status not in ("moved", "holds") or outcome is None or outcome.isolation != "complete":
        return False
    return any(tensor.judged and tensor.verdict != "identical" for tensor in outcome.tensors)


def _repeated(
    found: list[VerdictRow],
    asked: Collection[str],
    first: InnerRun,
    new_again: NewAgain,
    runs: dict[str, InnerRun],
) -> list[VerdictRow]:
    """The rows, as a second run of `asked` leaves them."""
    against = recorded_again(runs)
    before = {row.nodeid: row for row in found if row.nodeid in asked}
    runs[NEW_AGAIN] = new_again(asked, against)
    after = _rows_of(asked, first, runs[NEW_AGAIN])
    doubtful = {name for name in asked if _by_chance(before[name]) != _by_chance(after[name])}
    if doubtful and doubtful < first.tests.keys():
        # Run without the others, a test may lack what they leave behind for it.
        runs[NEW_AGAIN + _WHOLE] = new_again(None, against)
        after |= _rows_of(doubtful, first, runs[NEW_AGAIN + _WHOLE])
    return [_decided(row, after[row.nodeid]) if row.nodeid in after else row for row in found]


def _rows_of(nodeids: Collection[str], first: InnerRun, run: InnerRun) -> dict[str, VerdictRow]:
    tests, before = run.tests, first.tests
    return {nodeid: row_of(before[nodeid], tests.get(nodeid)) for nodeid in nodeids}


def _by_chance(row: VerdictRow) -> bool:
    return row.status in _OF_CHANCE


def _decided(before: VerdictRow, again: VerdictRow) -> VerdictRow:
    """What two runs of a test on the new side say together: the second knows causes."""
    if _by_chance(before) != _by_chance(again):
        broken, when = (
            (before, "once and not when it was run again")
            if _by_chance(before)
            else (again, "when it was run again, and not at first")
        )
        if again.status in GUILTY and before.status in GUILTY:
            return before
        why = f"it broke {when}: {broken.reason or broken.status}"
        return replace(before, status="unstable", reason=why)
    if before.status == "moved" and again.status == "holds" and not _as_far(before, again):
        # Nothing excused it: it did not move again. What comes and goes is no all-clear.
        return before
    return again


def _as_far(before: VerdictRow, again: VerdictRow) -> bool:
    """Whether a test moved about as much in its second run as in its first."""
    return 2 * _furthest(again.outcome) >= _furthest(before.outcome)


def _furthest(outcome: TestOutcome | None) -> float:
    tensors = outcome.tensors if outcome is not None else ()
    return max((_distance(tensor) for tensor in tensors if tensor.judged), default=0.0)


def _distance(tensor: TensorOutcome) -> float:
    return math.inf if tensor.verdict in ("structure", "nonfinite") else tensor.k or 0.0
