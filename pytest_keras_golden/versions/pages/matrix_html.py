"""A matrix as the page that reports have: the table above, each cell that moved below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...outcomes import QUIET, TestOutcome
from ...report.amount import most
from ...report.asides import asides
from ...report.escape import first_line
from ...report.html import Entry, Overview, written
from ...report.wording import number, plural
from ..matrix import Cell, MatrixResult
from .matrix_page import cell_text, grouped, legend, notes, summary_line
from .next_lines import after_matrix

_PAGES = 1000
"""Cells that are drawn in full, red ones first; the table has them all."""


def page(result: MatrixResult) -> str:
    """One HTML file that needs nothing else, release by release."""
    cells = [cell for version in result.versions for cell in _of(result, version)]
    told = {id(cell) for cell in sorted(filter(_is_told, cells), key=_calm)[:_PAGES]}
    shown = [cell for cell in cells if id(cell) in told]
    places = {id(cell): place for place, cell in enumerate(shown)}
    entries = list(map(_entry, shown))
    anchor = (row[result.versions[0]].outcome for row in result.cells.values())
    facts = {"errors": [], "asides": asides([t for t in anchor if t]), "unseen": []}
    return written(entries, summary_line(result), facts, _overview(result, places))


def _of(result: MatrixResult, version: str) -> list[Cell]:
    """The cells of a version, red ones first."""
    return sorted((row[version] for row in result.cells.values()), key=_calm)


def _calm(cell: Cell) -> bool:
    return not cell.red


def _is_told(cell: Cell) -> bool:
    """Whether there is more to say of a cell than its word."""
    if cell.red:
        return True
    return cell.outcome is not None and any(
        tensor.judged and tensor.verdict != "identical" for tensor in cell.outcome.tensors
    )


def _entry(cell: Cell) -> Entry:
    outcome = cell.outcome or TestOutcome(cell.nodeid, "error", reason=cell.reason)
    word = cell.status if cell.red or cell.anchor in (None, *QUIET) else str(cell.anchor)
    lead = "" if outcome.tensors else first_line(cell.reason or "")
    return Entry(outcome, word, f"{cell.version} · {cell.nodeid}", lead, steps=())


def _overview(result: MatrixResult, places: Mapping[int, int]) -> Overview:
    told = {
        "Releases": list(_releases(result)),
        "What changed where": list(notes(result)),
        "Runs": [*(f"{v}: {number(s)} s" for v, s in result.seconds.items()), *result.taken],
        "Table": legend(result),
    }
    sections = tuple((heading, tuple(lines)) for heading, lines in told.items() if lines)
    rows = (
        (nodeid + more, *(_cell(cell, places) for cell in row))
        for nodeid, more, row in grouped(result)
    )
    steps = tuple(after_matrix(result))
    return Overview("Matrix", sections, steps, (("test", *result.versions), *rows))


def _releases(result: MatrixResult) -> Iterator[str]:
    """`3.6.0: 2 of 8 tests are red, up to 0.4 %, 4× the limit` for each release."""
    for version in result.versions[1:]:
        red = [cell for cell in _of(result, version) if cell.red]
        outcomes = [cell.outcome for cell in red if cell.outcome and cell.status == "moved"]
        much = most(outcomes)
        of = f"{len(red)} of {plural(len(result.cells), 'test')}"
        yield f"{version}: {of} red{f', {much}' if much else ''}" if red else f"{version}: holds"


def _cell(cell: Cell, places: Mapping[int, int]) -> tuple[str, str, bool, int | None]:
    why = ", ".join(cell.local_drift) or cell.reason or ""
    return cell_text(cell), why, cell.red, places.get(id(cell))
