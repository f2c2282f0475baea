"""What differs is repeated before it is said: on the old side for its noise floor and its twins, on
the new one for causes and where tests broke; on both, with numbers drawn from one stream, where
draws differ; tests that fail on the old side once without being recorded. Where nothing differs or
fails no suite is run a third time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..compare.training import BEHIND_LAYERS
from ..errors import StackError
from ..outcomes import LocalOutcome, TensorOutcome, TestOutcome
from ..report.wording import family_list, plural
from .inner.job import InnerRun
from .inner.run import forget
from .verdicts import GUILTY, PASSES, VerdictRow, in_order, redrawn, row_of, rows

OldAgain = Callable[[Collection[str] | None], InnerRun]
"""Node ids, or None for the whole suite → a run of them on the old side, which leaves goldens with
twins."""

NewAgain = Callable[[Collection[str] | None, InnerRun | None], InnerRun]
"""The same on the new side, compared with what such a run has left; None: with the recording."""

PlainRun = Callable[[Collection[str]], InnerRun]
"""Node ids → a run of them on the old side that leaves alone what does not ask for the plugin."""

DrawnAlike = Callable[[Collection[str]], tuple[InnerRun, InnerRun]]
"""Node ids → a recording of them on the old side, and a run on the new side that is compared with
it, both of which draw from one stream of random numbers."""

OLD_AGAIN, NEW_AGAIN = "old again", "new again"
OLD_ALIKE, NEW_ALIKE = "old again, one stream", "new again, one stream"
OLD_PLAINLY = "old plainly"
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


# -- drawn alike ----------------------------------------------------------------------------


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

# -- plainly --------------------------------------------------------------------------------


def told_apart(
    found: Sequence[VerdictRow], plain: PlainRun, runs: dict[str, InnerRun]
) -> tuple[VerdictRow, ...]:
    """The rows; of tests that failed on the old side, with whether they do so plainly as well."""
    failed = {row.nodeid for row in found if row.status == "failing before" and row.outcome}
    if not failed:
        return tuple(found)
    run = runs[OLD_PLAINLY] = plain(failed)
    passes = passing(run, failed)
    return tuple(
        replace(row, reason=PASSES + (row.reason or "")) if row.nodeid in passes else row
        for row in found
    )


def passing(run: InnerRun, asked: Collection[str]) -> frozenset[str]:
    """Which of these tests pytest's short summary says passed."""
    lines = (line for line in run.output.splitlines() if line.startswith(_PASSED))
    return frozenset(asked) & {line.removeprefix(_PASSED) for line in lines}


_PASSED = "PASSED "
