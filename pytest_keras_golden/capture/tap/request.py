"""What a capture block was asked for: one value that everything below the fixture hands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from ...config import DEFAULT_SELECT, DEFAULT_STEPS
from ...errors import CaptureError, a_kind
from ...io.strict import shown as quoted
from ...records import Tolerance
from ..watch.forgiving import Note
from .limit import NO_LIMIT, Limit


@dataclass(frozen=True, slots=True)
class Request:
    """select: groups and globs over structural names. name: prefix of one of several blocks.

    tolerance: of every tensor of the block. limit: what is kept of each. aliases: (name in this
    run, name in the golden), globs. isolate: keep what an isolating pass needs, in a golden at most
    `isolation_bytes` of it. steps: of a training, so many of the first are recorded. note:
    takes what cannot be captured, which else raises.
    """

    select: tuple[str, ...] = DEFAULT_SELECT
    name: str | None = None
    tolerance: Tolerance | None = None
    limit: Limit = NO_LIMIT
    aliases: tuple[tuple[str, str], ...] = ()
    isolate: bool = True
    isolation_bytes: int | None = None
    steps: int = DEFAULT_STEPS
    note: Note | None = None

    @property
    def asked(self) -> bool:
        """Whether the test asks to be captured. In others no call is made again without need: they
        may count their calls, or what these print."""
        return self.note is None

    @property
    def recorded(self) -> str:
        """In words, what decides about what is recorded of a call; empty where names that are not
        those of this run are put in their places."""
        chosen = self.asked, self.select, self.steps, self.tolerance, self.limit, self.isolate
        return "" if self.aliases else repr(chosen)

    @property
    def prefix(self) -> str:
        """What every name of the block begins with."""
        return f"{self.name}/" if self.name else ""


def chosen(select: str | Sequence[str]) -> tuple[str, ...]:
    """What `select` names. Raises CaptureError for what is neither a name nor several."""
    names = (select,) if isinstance(select, str) else select
    if not isinstance(names, (Sequence, Set)) or not all(isinstance(name, str) for name in names):
        fix = "Pass groups (attention, logits, blocks, training, all) or globs: select=('logits',)."
        raise CaptureError(f"select={quoted(select)} is {a_kind(select)}", fix)
    return tuple(names)


def named(name: str | None) -> str | None:
    """Raises CaptureError for a block's `name` that is none."""
    if name is not None and not isinstance(name, str):
        raise CaptureError(f"name={quoted(name)} is {a_kind(name)}", "Pass text: name='second'.")
    return name


def alias_pairs(aliases: Mapping[str, str] | None) -> Mapping[str, str]:
    """Raises CaptureError for what maps no names to names."""
    pairs = {} if aliases is None else aliases
    if not isinstance(pairs, Mapping) or not all(
        isinstance(x, str) for p in pairs.items() for x in p
    ):
        fix = "Pass {'name in this run': 'name in the golden'}."
        raise CaptureError(f"aliases={quoted(aliases)} is no mapping of names", fix)
    return pairs


def valid_rows(rows: int | str) -> int | None:
    """None: all of them. Raises CaptureError."""
    if rows == "all":
        return None
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        fix = 'Pass the number of rows to keep, from 1, or "all".'
        raise CaptureError(f"capture(rows={rows!r})", fix)
    return rows
