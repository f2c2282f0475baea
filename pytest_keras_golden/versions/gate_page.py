"""A gate's result as text: one verdict line, then the tests that need a reader.

Decided elsewhere; here it is only told: to a terminal, as Markdown for a job summary, as HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..outcomes import TestOutcome
from ..report import escape
from ..report.asides import only_unseen
from ..report.sentence import headline
from ..report.template import filled
from ..report.wording import family_list, plural
from .gate import GateResult
from .verdicts import ORDER, Status, VerdictRow, counts, unseen

_TITLES: dict[Status, str] = {
    "broke": "Broke under {new}, not by numbers",
    "moved": "Moved",
    "incomparable": "Incomparable: they ran with other weights, states or inputs under {new}",
    "unstable": "Unstable: differ from themselves under {old}",
    "failing before": "Failing under {old} already",
    "new": "Only under {new}",
    "skipped": "Skipped",
    "no tensors": "Not looked at: they use Keras in other ways than calling a model",
}
_LISTED = 200
_CELL = 300


def verdict_line(result: GateResult) -> str:
    """`keras 3.5.0 → keras 3.6.0: 5 of 8 tests moved, 1 broke; guilty: …`, in one line."""
    by_status = counts(result.rows)
    compared = sum(by_status[status] for status in ("holds", "moved", "incomparable"))
    span = f"{result.old.label} → {result.new.short}"
    aside = _aside(by_status, len(unseen(result.rows)))
    asides = [_carried(result.rows), only_unseen(unseen(result.rows))]
    told = [f"{text}." for text in asides if text]
    if result.verdict == "nothing compared":
        return " ".join([f"{span}: NOTHING COMPARED{aside}.", *told])
    if result.verdict == "holds":
        held = f"{span}: holds. {plural(compared, 'test')} compared{aside}."
        return " ".join([held, *_by_depth(result.rows), *_by_precision(result.rows), *told])
    parts = [
        f"{by_status[status]} {status}" for status in ("incomparable", "broke") if by_status[status]
    ]
    moved = f"{by_status['moved']} of {plural(compared, 'compared test')} moved"
    guilty = ", ".join(guilty_layers(result.rows))
    blamed = f"; guilty: {guilty}" if guilty else ""
    drift = f"{span}: DRIFT. {', '.join([moved, *parts])}{aside}{blamed}."
    return " ".join([drift, *told])


def _aside(by_status: Counter[Status], not_looked_at: int) -> str:
    said = [
        f"{by_status[s]} {s}" for s in ("unstable", "failing before", "skipped") if by_status[s]
    ]
    without = by_status["no tensors"] - not_looked_at
    said += [f"{without} without Keras"] if without else []
    return f" ({', '.join(said)})" if said else ""


def _carried(rows: Iterable[VerdictRow]) -> str:
    """What of the old side the new one ran with, and in how many tests."""
    by_kind = Counter(kind for row in rows if row.outcome for kind in row.outcome.carried)
    told = (f"{kind} in {plural(count, 'test')}" for kind, count in sorted(by_kind.items()))
    return f"Carried over: {', '.join(told)}" if by_kind else ""


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


def guilty_layers(rows: Iterable[VerdictRow], most: int = 4) -> list[str]:
    """The layers with local drift, most tests first: `block_0/norm (4 tests)`."""
    named = Counter(
        name
        for row in rows
        if row.outcome and row.status == "moved"
        for name in dict.fromkeys(_guilty(row.outcome))
    )
    told = [f"{name} ({plural(count, 'test')})" for name, count in named.most_common(most)]
    rest = len(named) - len(told)
    return [*told, f"{rest} more"] if rest > 0 else told


def _guilty(outcome: TestOutcome) -> list[str]:
    """`norm [meaning]`: the layers with local drift, and why, where that is known."""
    causes = {layer.name: layer.cause for layer in outcome.locals}
    return [
        f"{name} [{causes[name]}]" if causes.get(name) else name for name in outcome.local_drift
    ]


def row_detail(row: VerdictRow) -> str:
    """What to say of one test beside its name, in one line."""
    if row.outcome is not None and row.status in ("moved", "incomparable", "unstable"):
        return " ".join(headline(row.outcome).split())
    if row.outcome is not None and row.status == "no tensors":
        return ", ".join(row.outcome.unseen)
    return " ".join((row.reason or "").split())


def row_layers(row: VerdictRow) -> str:
    if row.outcome is None or row.status != "moved":
        return ""
    if row.outcome.local_drift:
        return ", ".join(_guilty(row.outcome))
    why = row.outcome.isolation or "not run"
    return f"first {row.outcome.first_drift}; isolation {why}" if row.outcome.first_drift else ""


def _sections(rows: Sequence[VerdictRow]) -> Iterable[tuple[Status, list[VerdictRow]]]:
    for status in ORDER:
        these = [row for row in rows if row.status == status]
        if status == "no tensors":
            these = [row for row in these if row.outcome and row.outcome.unseen]
        if these and status in _TITLES:
            yield status, these


def _title(status: Status, result: GateResult) -> str:
    return _TITLES[status].format(old=result.old.label, new=result.new.label)


def terminal(result: GateResult, width: int | None = None) -> str:
    """The verdict line and a table per kind of trouble, for a terminal or a log."""
    from rich.table import Table

    console = escape.console(width=width)
    with console.capture() as captured:
        for status, found in _sections(result.rows):
            table = Table(title=_title(status, result), title_justify="left", title_style="bold")
            table.add_column("test", overflow="fold")
            if status == "moved":
                table.add_column("guilty layers", overflow="fold")
            table.add_column("what", overflow="fold")
            for row in found[:_LISTED]:
                layers = [row_layers(row)] if status == "moved" else []
                table.add_row(*map(escape.text, (row.nodeid, *layers, row_detail(row))))
            console.print(table)
            _left_out(console.print, found)
    return captured.get() + "\n".join(
        map(escape.visible, [*result.taken, verdict_line(result), *_culprit(result)])
    )


def _culprit(result: GateResult) -> list[str]:
    return [] if result.culprit is None else result.culprit.lines


def _left_out(say: Callable[[str], object], rows: Sequence[VerdictRow]) -> None:
    if len(rows) > _LISTED:
        say(f"… and {len(rows) - _LISTED} more")


def markdown(result: GateResult) -> str:
    """As `terminal`, for a job summary or a pull-request comment."""
    mark = "✅" if result.verdict == "holds" else "❌"
    lines = [f"### {mark} {escape.prose(verdict_line(result))}", ""]
    lines += [f"{escape.prose(text)}\n" for text in (*result.taken, *_culprit(result))]
    for status, found in _sections(result.rows):
        lines += [f"#### {escape.prose(_title(status, result))}", ""]
        columns = ("test", "guilty layers", "what") if status == "moved" else ("test", "what")
        lines += [escape.row(*columns), "|---" * len(columns) + "|"]
        lines += [escape.row(*_cells(row)) for row in found[:_LISTED]]
        _left_out(lines.append, found)
        lines.append("")
    return "\n".join(lines)


def _cells(row: VerdictRow) -> Iterator[str]:
    """A row's cells as Markdown."""
    yield escape.code(row.nodeid)
    if row.status == "moved":
        yield escape.prose(row_layers(row), _CELL)
    yield escape.sentence(row_detail(row), _CELL)


def page(result: GateResult) -> str:
    """As `terminal`, as one HTML file that needs nothing else."""
    sections = [
        (_title(status, result), [(row.nodeid, row_layers(row), row_detail(row)) for row in found])
        for status, found in _sections(result.rows)
    ]
    return filled(
        "pytest_keras_golden.versions",
        "gate.html",
        title=verdict_line(result),
        holds=result.verdict == "holds",
        taken=[*result.taken, *_culprit(result)],
        sections=sections,
    )
