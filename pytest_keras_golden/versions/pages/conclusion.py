"""The sentence on top of a gate: the verdict, how much, in how many tests, which layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ...names import ACCEPTED_FILE
from ...outcomes import LocalOutcome, TestOutcome
from ...report import amount
from ...report.asides import only_unseen
from ...report.wording import family_list, plural
from ...stacks.grammar import is_lock
from ..accepted import Acceptance
from ..compared.verdicts import GUILTY, Status, VerdictRow, counts, loads_otherwise, unseen
from ..gate import GateResult
from ..matrix import MatrixResult


def verdict_line(result: GateResult) -> str:
    """`keras 3.5.0 → 3.6.0: DRIFT of up to 0.41 %, 4.2× the limit. 5 of 8 compared tests moved`."""
    by_status = counts(result.rows)
    span = _span(result)
    aside = _aside(by_status, len(unseen(result.rows)))
    asides = (other_numbers(result.rows), carried(result.rows), only_unseen(unseen(result.rows)))
    told = [f"{text}." for text in asides if text]
    if result.verdict == "nothing compared":
        return " ".join([f"{span}: NOTHING COMPARED{aside}.", *told])
    if result.verdict == "holds":
        accepted = plural(len(result.review.used), "accepted change")
        holds = f"holds; {accepted}" if result.review.used else "holds"
        if result.untouched:
            return " ".join([f"{span}: holds. {_untouched(result, by_status)}{aside}.", *told])
        held = f"{span}: {holds}. {plural(_compared(by_status), 'test')} compared{aside}."
        return " ".join([held, *_by_depth(result.rows), *_by_precision(result.rows), *told])
    return " ".join([f"{span}: {_drift(result, by_status)}{aside}{_blamed(result.rows)}.", *told])


def _span(result: GateResult) -> str:
    """From what to what: the sides as they were written; for locks, before that what differs."""
    sides = f"{result.old.label} → {result.new.short}"
    texts = (result.old.text, result.new.text)
    has_lock = any(is_lock(part) for text in texts for part in text.split(","))
    if not has_lock or not result.changes:
        return sides
    return f"{_changed(result)}, from {result.old.label} to {result.new.short}"


def _changed(result: GateResult, most: int = 3) -> str:
    """`keras 3.15.0 → 3.15.1, jax 0.10.1 → 0.10.2 and 4 more`."""
    told = [str(change) for change in result.changes]
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more


def issue_title(result: GateResult) -> str:
    """`keras 3.15.1 → 3.16.0 moves the numbers of this suite`."""
    does = "breaks tests" if only_breaks(result.rows) else "moves the numbers"
    return f"{_changed(result) or _span(result)} {does} of this suite"


def _untouched(result: GateResult, by_status: Counter[Status]) -> str:
    names = [change.name for change in result.changes]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"The suite reads nothing of what differs ({listed}): "
        f"{plural(_compared(by_status), 'test')} ran on the old side, and the new one was not run"
    )


def culprit_lines(result: GateResult) -> list[str]:
    """Which of several changes moves the tests, where that was looked for."""
    return [] if result.culprit is None else result.culprit.lines


def problem_lines(result: GateResult | MatrixResult) -> list[str]:
    """Why nothing could be compared, and what to do."""
    return [] if result.problem is None else [text for text in result.problem if text]


def _compared(by_status: Counter[Status]) -> int:
    return sum(by_status[status] for status in ("holds", "accepted", "moved", "incomparable"))


def _drift(result: GateResult, by_status: Counter[Status]) -> str:
    if only_breaks(result.rows):
        return _breaks(result, by_status)
    if {row.status for row in result.rows} & GUILTY == {"incomparable"}:
        return _incomparable(result, by_status)
    otherwise = sum(map(loads_otherwise, result.rows))
    moved = (
        f"{by_status['moved'] - otherwise} of {plural(_compared(by_status), 'compared test')} moved"
    )
    others = [
        f"{by_status[status]} {status}"
        for status in ("incomparable", "broke", "accepted")
        if by_status[status]
    ]
    others += [f"{otherwise} loaded other weights or settings"] if otherwise else []
    moving = (row for row in result.rows if row.status == "moved" and not loads_otherwise(row))
    most = amount.most(row.outcome for row in moving if row.outcome)
    joint = ": " if most in amount.UNSIZED.values() else " of "
    how_much = f"{joint}{most}" if most else ""
    return f"DRIFT{how_much}. {', '.join([moved, *others])}"


def only_breaks(rows: Iterable[VerdictRow]) -> bool:
    """Whether the new side breaks tests and moves none: its interface is another, not its
    numbers."""
    return {row.status for row in rows} & GUILTY == {"broke"}


def _breaks(result: GateResult, by_status: Counter[Status]) -> str:
    """`BREAKS. 2 of 9 tests pass under keras 3.5.0 and break under 3.6.0; …`."""
    broke = [row.nodeid for row in result.rows if row.status == "broke"]
    tests = sum("::" in nodeid for nodeid in broke)
    whole = len(broke) - tests
    old, new = result.old.label, result.new.label
    told = []
    if tests:
        of = plural(tests + _compared(by_status), "test")
        passes, breaks = ("passes", "breaks") if tests == 1 else ("pass", "break")
        told.append(f"{tests} of {of} {passes} under {old} and {breaks} under {new}")
    if whole:
        told.append(f"{plural(whole, 'module')} cannot be collected or run to its end under {new}")
    accepted = [f"{by_status['accepted']} accepted"] if by_status["accepted"] else []
    moved = f"no {'other' if accepted else 'compared'} number moved"
    numbers = moved if _compared(by_status) else "no number was compared"
    return f"BREAKS. {'; '.join([*told, *accepted, numbers])}"


def _incomparable(result: GateResult, by_status: Counter[Status]) -> str:
    tests = f"{by_status['incomparable']} of {plural(_compared(by_status), 'compared test')}"
    accepted = f", {by_status['accepted']} accepted" if by_status["accepted"] else ""
    return (
        f"INCOMPARABLE. {tests} ran with other weights, states or inputs under "
        f"{result.new.label}; nothing else moved{accepted}"
    )


def _blamed(rows: Iterable[VerdictRow]) -> str:
    guilty = ", ".join(guilty_layers(rows))
    return f"; guilty: {guilty}" if guilty else ""


def _aside(by_status: Counter[Status], not_looked_at: int) -> str:
    apart: tuple[Status, ...] = ("unstable", "failing before", "skipped", "xfailed")
    said = [f"{by_status[status]} {status}" for status in apart if by_status[status]]
    without = by_status["no tensors"] - not_looked_at
    said += [f"{without} without Keras"] if without else []
    return f" ({', '.join(said)})" if said else ""


def other_numbers(rows: Iterable[VerdictRow]) -> str:
    """Which functions make other numbers of one seed, and in how many tests."""
    drawn = [row.drawn for row in rows if row.drawn]
    names = family_list(dict.fromkeys(name for functions in drawn for name in functions))
    told = f"Other numbers of one seed are made by {names} in {plural(len(drawn), 'test')}"
    return told if drawn else ""


def carried(rows: Iterable[VerdictRow]) -> str:
    """What of the old side the new one ran with, and in how many tests."""
    by_kind = Counter(kind for row in rows if row.outcome for kind in row.outcome.carried)
    told = (f"{kind} in {plural(count, 'test')}" for kind, count in sorted(by_kind.items()))
    return f"Carried over: {', '.join(told)}" if by_kind else ""


def accepted_lines(result: GateResult) -> list[str]:
    """What was accepted, and which entries of the file are not needed any more."""
    review = result.review
    return [
        *(
            f"accepted: {entry.layer} in {plural(len(nodeids), 'test')} "
            f"({_made(entry)}, {entry.date}): {entry.reason}"
            for entry, nodeids in review.used.items()
        ),
        *(
            f"accepted and not needed: {entry.layer} ({_made(entry)}) did not move; "
            f"remove it from {ACCEPTED_FILE}"
            for entry in review.unused
        ),
        *(
            f"accepted and expired: {entry.layer} ({_made(entry)}), which {result.old.label} has "
            f"already; remove it from {ACCEPTED_FILE}"
            for entry in review.expired
        ),
    ]


def _made(entry: Acceptance) -> str:
    return ", ".join(f"{c.name} {c.old or 'none'} → {c.new or 'none'}" for c in entry.changes)


def _by_depth(rows: Iterable[VerdictRow]) -> list[str]:
    """What is beyond the tolerance though no layer changed by more than rounding: a warning."""
    outcomes = [row.outcome for row in rows if row.outcome is not None and row.status == "holds"]
    count = sum(any(t.verdict == "accumulated" for t in o.tensors) for o in outcomes)
    return [f"In {plural(count, 'test')} rounding accumulated by depth alone."] if count else []


def _by_precision(rows: Iterable[VerdictRow]) -> list[str]:
    """Which layers of what holds are computed in another precision, and no less accurately."""
    layers = [
        layer
        for row in rows
        if row.outcome and row.status == "holds"
        for layer in row.outcome.locals
        if layer.cause == "precision"
    ]
    if not layers:
        return []
    better = sum(layer.twin is not None and layer.twin.accuracy == "better" for layer in layers)
    names = family_list(dict.fromkeys(layer.name for layer in layers))
    return [f"Other precision handling in {names}: {better} of {len(layers)} more accurate."]


def how_much(moved: Sequence[VerdictRow]) -> list[str]:
    """How much some tests moved, and each layer to blame, as lines."""
    most = amount.most(row.outcome for row in moved if row.outcome)
    layers = guilty_layers(moved)
    return [
        *([f"how much: {most}"] if most else []),
        f"layers with local drift: {', '.join(layers) or 'not isolated'}",
    ]


def guilty_layers(rows: Iterable[VerdictRow], most: int = 4) -> list[str]:
    """The layers with local drift, most tests first: `block/norm [0.4 %, meaning] (4 tests)`."""
    found: dict[str, list[LocalOutcome | None]] = {}
    for outcome in (row.outcome for row in rows if row.outcome and row.status == "moved"):
        for name, layer in own_changes(outcome):
            found.setdefault(name, []).append(layer)
    ranked = sorted(found.items(), key=lambda item: -len(item[1]))
    told = [
        f"{name}{sized(layers)} ({plural(len(layers), 'test')})" for name, layers in ranked[:most]
    ]
    rest = len(ranked) - len(told)
    return [*told, f"{rest} more"] if rest > 0 else told


def own_changes(outcome: TestOutcome) -> Iterator[tuple[str, LocalOutcome | None]]:
    known = {layer.name: layer for layer in outcome.locals}
    return ((name, known.get(name)) for name in dict.fromkeys(outcome.local_drift))


def sized(layers: Iterable[LocalOutcome | None]) -> str:
    """The largest of a layer's own changes."""
    worst = max((x for x in layers if x is not None), key=amount.own_strain, default=None)
    text = "" if worst is None else amount.own_size(worst)
    return f" [{text}]" if text else ""
