"""A gate's result as text: one verdict line, then the tests that need a reader.

Decided elsewhere; here it is only told: to a terminal, or as Markdown for a job summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ...compare.counterparts import UNMATCHED
from ...report import escape
from ..compared.verdicts import loads_otherwise
from ..gate import GateResult
from . import next_lines
from .alike import Alike, group_amount, groups
from .conclusion import accepted_lines, culprit_lines, problem_lines, verdict_line
from .sections import (
    WITH_NUMBERS,
    Section,
    compared,
    compared_heading,
    not_looked_at,
    row_detail,
    row_layers,
    sections,
    title,
)

_LISTED = 200
_FILES = 40
_CELL = 300
_ROOM_FOR_SENTENCES = 110
"""Columns of a terminal; the sentence of each test that moved needs more than a narrow one has."""


def terminal(result: GateResult, width: int | None = None) -> str:
    """The verdict line and a table per kind of trouble, for a terminal or a log."""
    from rich.table import Table

    console = escape.console(width=width)
    with console.capture() as captured:
        for status, found in sections(result.rows):
            table = Table(title=title(status, result), title_justify="left", title_style="bold")
            columns = _columns(status, console.width)
            for name in columns:
                table.add_column(name, overflow="fold")
            alike = groups(found)
            for group in alike[:_LISTED]:
                table.add_row(*(escape.text(columns[name](group)) for name in columns))
            console.print(table)
            _left_out(console.print, alike)
    lines = [
        *_looked_at(result),
        *_unmatched(result),
        *next_lines.hints(result),
        *next_lines.lines(next_lines.after_gate(result)),
        *result.taken,
        *accepted_lines(result),
        verdict_line(result),
        *culprit_lines(result),
    ]
    return captured.get() + "\n".join(map(escape.visible, lines))


def _columns(status: Section, width: int) -> Mapping[str, Callable[[Alike], str]]:
    if status not in WITH_NUMBERS:
        return {"test": _tests, "what": _detail}
    moved = {"test": _tests, "how much": group_amount, "layers by themselves": _layers}
    return moved | ({"what": _detail} if width >= _ROOM_FOR_SENTENCES else {})


def _tests(group: Alike) -> str:
    return f"{group.first.nodeid}{group.more}"


def _detail(group: Alike) -> str:
    return row_detail(group.worst)


def _layers(group: Alike) -> str:
    return row_layers(group.worst)


def _looked_at(result: GateResult) -> list[str]:
    """What a gate that holds has compared, and what it has not looked at."""
    if result.verdict != "holds":
        return []
    rest = not_looked_at(result.rows)
    lines = [
        f"{compared_heading(result)}:",
        *(f"  {line}" for line in compared(result.rows, _FILES)),
    ]
    return [*lines, *(["not compared:", *(f"  {line}" for line in rest)] if rest else [])]


def _left_out(say: Callable[[str], object], alike: Sequence[Alike]) -> None:
    rest = sum(len(group.rows) for group in alike[_LISTED:])
    if rest:
        say(f"… and {rest} more")


def markdown(result: GateResult) -> str:
    """As `terminal`, for a job summary or a pull-request comment."""
    mark = "✅" if result.verdict == "holds" else "❌"
    lines = [f"### {mark} {escape.prose(verdict_line(result))}", ""]
    lines += [f"{escape.sentence(text)}\n" for text in problem_lines(result)]
    lines += [f"{escape.prose(text)}\n" for text in _told(result)]
    for status, found in sections(result.rows):
        lines += [f"#### {escape.prose(title(status, result))}", ""]
        columns = list(_columns(status, _ROOM_FOR_SENTENCES))
        lines += [escape.row(*columns), "|---" * len(columns) + "|"]
        alike = groups(found)
        lines += [escape.row(*_cells(group)) for group in alike[:_LISTED]]
        _left_out(lines.append, alike)
        lines.append("")
    lines += [f"{escape.sentence(text)}\n" for text in next_lines.hints(result)]
    lines += [*_listed(result), *next_lines.markdown(next_lines.after_gate(result))]
    return "\n".join(lines)


def _unmatched(result: GateResult) -> list[str]:
    """Layers of Keras 2 or 3 that the other has not, test by test."""
    outcomes = [row.outcome for row in result.rows if row.outcome is not None]
    return [
        f"{outcome.nodeid}: {said}"
        for outcome in outcomes
        for said in outcome.unseen
        if UNMATCHED in said
    ]


def _told(result: GateResult) -> list[str]:
    return [*_unmatched(result), *result.taken, *accepted_lines(result), *culprit_lines(result)]


def _cells(group: Alike) -> Iterator[str]:
    """A group's cells as Markdown."""
    yield escape.code(group.first.nodeid) + group.more
    if group.first.status in WITH_NUMBERS and not loads_otherwise(group.first):
        yield escape.prose(group_amount(group), _CELL)
        yield escape.prose(_layers(group), _CELL)
    yield escape.sentence(_detail(group), _CELL)


def _listed(result: GateResult) -> Iterator[str]:
    """What was compared and what was not, of a gate that holds, as Markdown lists."""
    if result.verdict != "holds":
        return
    rest = not_looked_at(result.rows)
    lists = {
        compared_heading(result).capitalize(): compared(result.rows, _FILES),
        "Not compared": rest,
    }
    for heading, items in lists.items():
        if items:
            yield f"#### {heading}\n"
            yield from (f"- {escape.prose(item)}" for item in items)
            yield ""
