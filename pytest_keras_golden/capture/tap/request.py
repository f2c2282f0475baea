"""What a capture block was asked for: one value that everything below the fixture hands on."""

from __future__ import annotations

from dataclasses import dataclass

from ...config import DEFAULT_SELECT, DEFAULT_STEPS
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
    def prefix(self) -> str:
        """What every name of the block begins with."""
        return f"{self.name}/" if self.name else ""
