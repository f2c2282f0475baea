"""Tensors and comparisons as text and as HTML, as a terminal and a notebook show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ..outcomes import TestOutcome
from ..records import GoldenHeader
from ..report.escape import shown, visible
from ..report.wording import number, plural, severity

ROWS = 60
"""Of a table in a notebook; what is left out is counted."""

TENSOR_COLUMNS = ("tensor", "dtype", "shape", "rms")
OUTCOME_COLUMNS = ("tensor", "verdict", "relative L2", "k", "max |Δ|")


def as_text(path: Path | str, header: GoldenHeader) -> str:
    """A line a tensor, under one that says what produced them."""
    lines = [_title(path, header), *("  ".join(row) for row in _rows(header))]
    return "\n".join(map(visible, lines))


def as_html(path: Path | str, header: GoldenHeader) -> str:
    """One table."""
    return _table(_title(path, header), TENSOR_COLUMNS, _rows(header))


def _title(path: Path | str, header: GoldenHeader) -> str:
    stack = header.stack
    made = f", Keras {stack['keras']} on {stack.get('backend')}" if stack.get("keras") else ""
    reason = f", recorded because: {header.reason}" if header.reason else ""
    return f"{plural(len(header.tensors), 'tensor')} of {path}{made}{reason}"


def _rows(header: GoldenHeader) -> list[tuple[str, ...]]:
    return [
        (e.name, e.dtype, "×".join(map(str, e.shape)) or "scalar", number(e.rms))
        for e in sorted(header.tensors, key=lambda entry: entry.order)
    ]


def outcome_html(outcome: TestOutcome) -> str:
    """The sentence of a comparison and its tensors, the worst first."""
    from ..report.amount import percent
    from ..report.sentence import headline
    from ..report.summary import strain, verdict_of

    outcome = shown(outcome)
    worst = sorted(outcome.tensors, key=lambda t: (-severity(t.verdict), -strain(t)))
    rows = [(t.name, t.verdict, percent(t.rel_l2), number(t.k), number(t.max_abs)) for t in worst]
    title = f"{verdict_of(outcome).upper()}: {headline(outcome)}"
    return _table(title, OUTCOME_COLUMNS, rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    left = len(rows) - ROWS
    more = [(f"… and {left:,} more",)] if left > 0 else []
    body = "".join(map(_row, [*rows[:ROWS], *more]))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<p>{escape(visible(title))}</p><table><tr>{head}</tr>{body}</table>"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(visible(cell))}</td>' for cell in cells)}</tr>"
