"""What differs is repeated before it is said: on the old side for its noise floor, on the new one
where tests broke. A suite in which nothing differs is not run a third time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ..errors import StackError
from .inner.job import InnerRun
from .inner.run import forget
from .verdicts import GUILTY, VerdictRow, in_order, row_of, rows

RunAgain = Callable[[Collection[str] | None], InnerRun]
"""Node ids, or None for the whole suite → a run of them on one side."""

OLD_AGAIN, NEW_AGAIN = "old again", "new again"
_WHOLE = ", the whole suite"


@dataclass(frozen=True, slots=True)
class Settled:
    """rows: a verdict per test. runs: what had to be repeated for them, by name."""

    rows: tuple[VerdictRow, ...]
    runs: dict[str, InnerRun]


def settled(
    first: InnerRun, compared: InnerRun, old_again: RunAgain, new_again: RunAgain
) -> Settled:
    """Judge the new side's run, and repeat what it has against the new side.

    Raises StackError where the old side cannot be run a second time.
    """
    runs: dict[str, InnerRun] = {}
    found = rows(first, None, compared)
    suspects = _suspects(found, first)
    if suspects:
        found = _with_noise_floor(suspects, first, compared, old_again, runs)
    broke = {row.nodeid for row in found if row.status in _OF_CHANCE} & compared.tests.keys()
    if broke:
        found = _confirmed(found, broke, first, new_again, runs)
    return Settled(tuple(in_order(found)), runs)


def _suspects(found: Collection[VerdictRow], first: InnerRun) -> frozenset[str]:
    recorded = {nodeid for nodeid, test in first.tests.items() if test.outcome == "recorded"}
    return frozenset(row.nodeid for row in found if row.status in GUILTY) & recorded


def _with_noise_floor(
    suspects: frozenset[str],
    first: InnerRun,
    compared: InnerRun,
    old_again: RunAgain,
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


_OF_CHANCE = frozenset({"broke", "incomparable"})
"""What tests also come to by chance: a file that another process wrote over, a server that was
not there. Numbers that moved on top of a noise floor are none."""


def _confirmed(
    found: list[VerdictRow],
    broke: Collection[str],
    first: InnerRun,
    new_again: RunAgain,
    runs: dict[str, InnerRun],
) -> list[VerdictRow]:
    """The rows, in which what broke once and not when it was repeated is unstable."""
    again = runs[NEW_AGAIN] = new_again(broke)
    passed = _unlike(broke, first, again)
    if passed and passed < first.tests.keys():
        whole = runs[NEW_AGAIN + _WHOLE] = new_again(None)
        passed = _unlike(passed, first, whole)
    why = "it broke once and not when it was run again: {}"
    return [
        replace(row, status="unstable", reason=why.format(row.reason or row.status))
        if row.nodeid in passed
        else row
        for row in found
    ]


def _unlike(nodeids: Collection[str], first: InnerRun, again: InnerRun) -> set[str]:
    """Which of the tests the new side is not to blame for when they are run again."""
    tests = again.tests
    return {
        nodeid
        for nodeid in nodeids
        if nodeid in tests
        and nodeid in first.tests
        and row_of(first.tests[nodeid], tests[nodeid]).status not in GUILTY
    }
