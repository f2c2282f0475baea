"""The layer table, drawn with rich. rich is imported only when a table is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from ..outcomes import TensorOutcome
from .amount import percent
from .causes import own_change
from .escape import console, text
from .summary import Row, Stretch
from .wording import counted, number, plural, style, tolerance

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def layers(shown: Sequence[Row | Stretch], isolated: bool) -> Table:
    """The rows in execution order. `isolated` adds the column of each layer's own change.

    The share of a tensor that changed comes first, which everybody can read; then k, the largest
    error in units of ε and the tensor's scale, beside what is allowed.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("tensor or layer", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    run = "k inherited\n+local / tol." if isolated else "k / tolerance"
    own = ["k local\nand cause"] if isolated else []
    for name in ("relative\nL2", run, *own, "max |Δ|"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in shown:
        table.add_row(*_cells(item, isolated))
    return table


def _cells(item: Row | Stretch, isolated: bool) -> list[Text]:
    if isinstance(item, Stretch):
        empty = [text("")] * (5 if isolated else 4)
        return [text("⋮"), text(run_text(item), "dim"), *empty]
    mark = ("→" if item.first else "") + ("*" if item.blamed else "")
    own = [text(own_change(item.local))] if isolated else []
    share, change, largest = _measures(item.tensor)
    return [
        text(mark, "bold"),
        text(item.name, "bold" if item.first or item.blamed else ""),
        text(item.verdict, style(item.verdict)),
        text(share),
        text(change),
        *own,
        text(largest),
    ]


def run_text(run: Stretch) -> str:
    """`37 within, 4 layers with local drift, 3 layers moved by rounding`."""
    parts = [counted(run.tensors)] if run.tensors else []
    parts += [f"{plural(run.blamed, 'layer')} with local drift"] if run.blamed else []
    parts += [f"{plural(run.moved, 'layer')} moved by rounding"] if run.moved else []
    return ", ".join(parts)


def _measures(tensor: TensorOutcome | None) -> tuple[str, str, str]:
    if tensor is None:
        return "", "", ""
    return percent(tensor.rel_l2), _change(tensor), number(tensor.max_abs)


def _change(tensor: TensorOutcome) -> str:
    if tensor.k is None:
        return "-"
    allowed = tensor.tolerance
    limit = number(allowed.k) if allowed and allowed.k is not None else tolerance(allowed)
    return f"{number(tensor.k)} / {limit}"


def render(table: Table, width: int, color: bool) -> str:
    """A table as text of at most `width` columns, with ANSI colours or none at all."""
    out = StringIO()
    drawn = console(
        file=out,
        width=width,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        legacy_windows=False,
        _environ={},
    )
    drawn.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines).strip("\n")


def painted(text: str, style: str, color: bool) -> str:
    """`text` in a rich style, as ANSI; the text itself without colour."""
    if not color or not style:
        return text
    from rich.style import Style

    return Style.parse(style).render(text)
