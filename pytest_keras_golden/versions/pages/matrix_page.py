"""A matrix as text: tests down, versions across."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

from ...outcomes import QUIET
from ...report import escape
from ...report.wording import STYLE, counted, plural
from ...stacks.grammar import is_version_range, respelled
from ..compared.partners import missing
from ..matrix import Cell, MatrixResult
from . import next_lines
from .conclusion import problem_lines

LEGEND = "cell: verdict against the left neighbour · against {anchor}, or one word where equal"


def cell_text(cell: Cell) -> str:
    """`drift · drift` in one word where both are the same; the status where nothing compared."""
    if cell.anchor is None and cell.left is None:
        return "not looked at" if cell.status == "no tensors" and cell.unseen else cell.status
    if cell.left is None or cell.left == cell.anchor:
        return cell.anchor or str(cell.left)
    return f"{cell.left} · {cell.anchor or '-'}"


def grouped(result: MatrixResult) -> Iterator[tuple[str, str, tuple[Cell, ...]]]:
    """The rows of the table: a test, ` and 11 more`, cells. Tests are told once that say the same
    under every version: those that parameters make of one function, and those of one file that
    nothing moved in."""
    found: dict[Hashable, list[str]] = {}
    for nodeid, row in result.cells.items():
        found.setdefault(_kind(nodeid, tuple(row.values())), []).append(nodeid)
    for alike in found.values():
        more = f" and {len(alike) - 1:,} more" if len(alike) > 1 else ""
        yield alike[0], more, tuple(result.cells[alike[0]].values())


def _kind(nodeid: str, row: Sequence[Cell]) -> Hashable:
    quiet = all(cell.anchor in (None, *QUIET) and not cell.red for cell in row)
    of = nodeid.partition("::")[0] if quiet else nodeid.partition("[")[0]
    return of, tuple((cell_text(cell), cell.local_drift, cell.reason) for cell in row)


def summary_line(result: MatrixResult) -> str:
    """`keras 3.5.0 … 3.7.0: 4 red cells of 24; first red: 3.6.0`."""
    cells = [cell for row in result.cells.values() for cell in row.values()]
    red = [cell for cell in cells if cell.red]
    package = f"{result.package} " if is_version_range(result.versions[0]) else ""
    ends = dict.fromkeys((result.versions[0], result.versions[-1]))
    span = f"{package}{' … '.join(ends)}"
    tests = f"{plural(len(result.cells), 'test')} × {plural(len(result.versions), 'version')}"
    if result.problem is not None:
        return f"{span}: NOTHING COMPARED. {tests}."
    if not red and result.uncompared:
        return f"{span}: NOTHING COMPARED under {', '.join(result.uncompared)}. {tests}."
    if not red:
        return f"{span}: holds. {tests}{_uncompared(cells)}."
    first = next(v for v in result.versions if any(cell.version == v for cell in red))
    told = f"{plural(len(red), 'red cell')} of {tests}{_uncompared(cells)}, the first under {first}"
    what = _what_is_red(red)
    return f"{span}: {what}. {told}{'' if what == 'DRIFT' else '; no compared number moved'}."


def _uncompared(cells: Sequence[Cell]) -> str:
    """` (6 of 9 cells not compared: 6 failing before)`, so that they are not taken for green."""
    rest = [cell for cell in cells if cell.status not in ("holds", "accepted") and not cell.red]
    if not rest:
        return ""
    words = counted(Counter(map(cell_text, rest)))
    return f" ({len(rest):,} of {plural(len(cells), 'cell')} not compared: {words})"


def _what_is_red(red: Iterable[Cell]) -> str:
    """Tests that break have not drifted; runs that were lost say nothing of either."""
    statuses = {cell.status for cell in red}
    if statuses <= {"lost"}:
        return "LOST"
    if statuses <= {"incomparable", "lost"}:
        return "INCOMPARABLE"
    return "BREAKS" if statuses <= {"broke", "lost"} else "DRIFT"


def notes(result: MatrixResult) -> Iterator[str]:
    """Per version the layers that began to drift there, and why cells are lost or broken."""
    yield from problem_lines(result)
    for version in result.versions:
        cells = [row[version] for row in result.cells.values()]
        layers = dict.fromkeys(name for cell in cells if cell.red for name in cell.since_left)
        if layers:
            yield f"{version}: since here local drift in {', '.join(layers)}"
        # What fails on the anchor fails under every version for this reason or for none.
        kinds = _EXPLAINED if version != result.versions[0] else (*_EXPLAINED, "failing before")
        reasons = [c for c in cells if c.status in kinds and c.reason]
        for reason in dict.fromkeys(escape.first_line(str(cell.reason)) for cell in reasons):
            yield f"{version}: {reason}"
        for found in missing([cell.reason for cell in reasons], version):
            pins = {found.package: found.pin}
            side = respelled(result.written.get(version, version), result.package, pins)
            yield f"{found}. {next_lines.GOES_WITH}: {side}"


_EXPLAINED = ("lost", "broke", "incomparable")


def terminal(result: MatrixResult, width: int | None = None) -> str:
    from rich.table import Table

    table = Table()
    table.add_column("test", overflow="fold")
    for version in result.versions:
        table.add_column(version)
    for nodeid, more, row in grouped(result):
        shown = (escape.text(cell_text(cell), _style(cell)) for cell in row)
        table.add_row(escape.text(nodeid + more), *shown)
    console = escape.console(width=width)
    with console.capture() as captured:
        if result.cells:
            console.print(table)
    steps = next_lines.lines(next_lines.after_matrix(result))
    told = map(escape.visible, [*notes(result), *result.taken, *steps, summary_line(result)])
    return captured.get() + "\n".join([*legend(result), *told])


def legend(result: MatrixResult) -> list[str]:
    """What the table's cells and rows are; nothing where it has none."""
    if not result.cells:
        return []
    told = [LEGEND.format(anchor=result.versions[0])]
    if len(list(grouped(result))) < len(result.cells):
        told.append(
            "row: a test, and how many more of its function or file say the same throughout"
        )
    return told


def _style(cell: Cell) -> str:
    return "red" if cell.red else STYLE.get(cell.anchor or cell.status, "")


def markdown(result: MatrixResult) -> str:
    mark = "✅" if result.verdict == "holds" else "❌"
    lines = [f"### {mark} {escape.prose(summary_line(result))}", ""]
    if result.cells:
        lines.append(escape.row("test", *map(escape.prose, result.versions)))
        lines.append("|---" * (len(result.versions) + 1) + "|")
        lines += [
            escape.row(escape.code(nodeid) + more, *map(_word, row))
            for nodeid, more, row in grouped(result)
        ]
        lines += ["", *legend(result), ""]
    lines += [f"- {escape.sentence(note)}" for note in (*notes(result), *result.taken)]
    lines += ["", *next_lines.markdown(next_lines.after_matrix(result))]
    return "\n".join(lines) + "\n"


def _word(cell: Cell) -> str:
    return f"**{escape.prose(cell_text(cell))}**" if cell.red else escape.prose(cell_text(cell))
