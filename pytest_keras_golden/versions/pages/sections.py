"""The tests of a gate by what became of them, and what each is said to have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from ...report import amount
from ...report.asides import besides, told
from ...report.sentence import headline
from ...report.summary import tensor_counts
from ...report.wording import counted, plural
from ..compared.verdicts import ORDER, Status, VerdictRow, fails_recorded, loads_otherwise, redrawn
from ..gate import GateResult
from .conclusion import own_changes, sized

Section = Status | Literal["loading", "recorded"]
"""A status, or what a page tells apart of those that moved or failed before."""

_TITLES: dict[Section, str] = {
    "loading": "Loads other weights or settings than the file holds, under {new}",
    "broke": "Broke under {new}, not by numbers",
    "moved": "Moved",
    "incomparable": "Incomparable: they ran with other weights, states or inputs under {new}",
    "accepted": "Moved, and accepted",
    "unstable": "Unstable: differ from themselves under {old}",
    "failing before": "Failing under {old} already",
    "recorded": "Failing under {old} where they are recorded, and passing without",
    "new": "Only under {new}",
    "skipped": "Skipped",
    "xfailed": "Expected failures",
    "no tensors": "Not looked at: they use Keras in ways that are not captured",
}


WITH_NUMBERS: frozenset[Section] = frozenset({"moved", "accepted"})
"""The kinds whose rows say how much."""


def sections(rows: Sequence[VerdictRow]) -> Iterable[tuple[Section, list[VerdictRow]]]:
    """The tests that need a reader, by status, worst first."""
    otherwise = [row for row in rows if loads_otherwise(row)]
    if otherwise:
        yield "loading", otherwise
    recorded = [row for row in rows if fails_recorded(row)]
    told = {id(row) for row in (*otherwise, *recorded)}
    for status in ORDER:
        these = [row for row in rows if row.status == status and id(row) not in told]
        if status == "no tensors":
            these = [row for row in these if row.outcome and row.outcome.unseen]
        if these and status in _TITLES:
            yield status, these
        if status == "failing before" and recorded:
            yield "recorded", recorded


def title(status: Section, result: GateResult) -> str:
    return _TITLES[status].format(old=result.old.label, new=result.new.label)


def row_detail(row: VerdictRow) -> str:
    """What to say of one test beside its name, in one line."""
    if redrawn(row):
        return " ".join((row.reason or "").split())
    if row.outcome is not None and row.status in ("moved", "incomparable", "unstable"):
        return " ".join(headline(row.outcome).split())
    if row.outcome is not None and row.status == "no tensors":
        return told(row.outcome)
    if row.status == "accepted":
        return f"accepted: {' '.join((row.reason or '').split())}"
    return " ".join((row.reason or "").split())


def row_layers(row: VerdictRow) -> str:
    """The layers to blame in one test, each with its own change; else where it began."""
    if row.outcome is None or row.status not in WITH_NUMBERS or loads_otherwise(row):
        return ""
    if row.outcome.local_drift:
        return ", ".join(f"{name}{sized([layer])}" for name, layer in own_changes(row.outcome))
    why = row.outcome.isolation or "not run"
    return f"first {row.outcome.first_drift}; isolation {why}" if row.outcome.first_drift else ""


def row_amount(row: VerdictRow) -> str:
    """`0.41 %, 4.2× its limit (k 21 of 5)` of the tensor of a test that moved most."""
    if row.outcome is None or row.status not in WITH_NUMBERS:
        return ""
    tensor = amount.moved_most(row.outcome)
    return "" if tensor is None else amount.size(tensor)


COMPARED: frozenset[Status] = frozenset({"holds", "accepted", "moved", "incomparable"})


def compared_heading(result: GateResult) -> str:
    """What the tests that `compared` lists have behind them."""
    return "reading nothing of what differs" if result.untouched else "compared"


def compared(rows: Iterable[VerdictRow], most: int) -> list[str]:
    """`tests/test_a.py: 12 tests, 340 tensors (330 identical, 10 within)` for each file of tests
    that were compared; how many more files there are."""
    by_file: dict[str, list[VerdictRow]] = {}
    for row in rows:
        if row.status in COMPARED:
            by_file.setdefault(row.nodeid.partition("::")[0], []).append(row)
    lines = [f"{file}: {_counted(found)}" for file, found in sorted(by_file.items())]
    rest = len(lines) - most
    return [*lines[:most], *([f"and {plural(rest, 'more file')}"] if rest > 0 else [])]


def _counted(rows: Sequence[VerdictRow]) -> str:
    counts = tensor_counts(row.outcome for row in rows if row.outcome)
    tensors = f", {plural(counts.total(), 'tensor')} ({counted(counts)})" if counts else ""
    return f"{plural(len(rows), 'test')}{tensors}"


def not_looked_at(rows: Iterable[VerdictRow]) -> list[str]:
    """What a gate that holds says nothing about, by kind; empty where it looked at all."""
    every = list(rows)
    by_status = Counter(map(_kind, every))
    also = besides(row.outcome for row in every if row.outcome and row.status in COMPARED)
    return [
        *(
            f"{plural(count, 'test')} {why.format(differs=differs(count))}"
            for status, why in _WHY.items()
            if (count := by_status[status])
        ),
        *filter(None, [also]),
    ]


def differs(count: int) -> str:
    return "differs from itself" if count == 1 else "differ from themselves"


def _kind(row: VerdictRow) -> str:
    if row.status == "no tensors" and row.outcome and row.outcome.unseen:
        return "unseen"
    return "recorded" if fails_recorded(row) else row.status


_WHY = {
    "unseen": "with Keras in ways that are not looked at (listed above)",
    "no tensors": "without a call of a Keras model",
    "skipped": "skipped",
    "xfailed": "failed as expected",
    "failing before": "failing under the old side already",
    "recorded": "failing under the old side only where recorded",
    "unstable": "{differs} under the old side",
    "new": "under the new side only",
}
