"""What runs now, told while it runs: a live table on a terminal, plain lines elsewhere.

Always on standard error; results go to standard output.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from ...config import in_ci
from ...report import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table


class Progress(Protocol):
    """Told about each inner run. `label` says which one."""

    def started(self, label: str) -> None: ...

    def finished(self, label: str, result: str) -> None: ...


@dataclass(slots=True)
class Silent:
    def started(self, label: str) -> None:
        """Says nothing."""

    def finished(self, label: str, result: str) -> None:
        """Says nothing."""


@dataclass(slots=True)
class Lines:
    """A line per event, for logs."""

    stream: TextIO
    _since: dict[str, float] = field(default_factory=dict)

    def started(self, label: str) -> None:
        self._since[label] = time.monotonic()
        self._say(f"{label} …")

    def finished(self, label: str, result: str) -> None:
        took = time.monotonic() - self._since.pop(label, time.monotonic())
        self._say(f"{label}: {result} ({took:.1f} s)")

    def _say(self, line: str) -> None:
        self.stream.write(escape.visible(line) + "\n")
        self.stream.flush()


@dataclass(slots=True)
class Rows:
    """The rows of a live table; rich renders them anew several times a second."""

    title: str
    rows: dict[str, tuple[float, float | None, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, label: str) -> None:
        with self._lock:
            self.rows[label] = (time.monotonic(), None, "running")

    def finished(self, label: str, result: str) -> None:
        now = time.monotonic()
        with self._lock:
            since = self.rows.get(label, (now, None, ""))[0]
            self.rows[label] = (since, now, result)

    def __rich__(self) -> Table:
        from rich.table import Table

        table = Table(title=escape.text(self.title), title_justify="left")
        for column, justify in (("run", "left"), ("state", "left"), ("time", "right")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        with self._lock:
            rows = dict(self.rows)
        for label, (since, until, state) in rows.items():
            end = until if until is not None else time.monotonic()
            table.add_row(escape.text(label), escape.text(state), f"{end - since:.0f} s")
        return table


@contextmanager
def progress(
    title: str, environ: Mapping[str, str], stream: TextIO | None = None
) -> Iterator[Progress]:
    """Progress on `stream` (standard error): live on a terminal, lines in CI or a pipe."""
    stream = stream or sys.stderr
    if not stream.isatty() or in_ci(environ):
        yield Lines(stream)
        return
    from rich.live import Live

    rows = Rows(title)
    with Live(rows, console=escape.console(file=stream), refresh_per_second=4):
        yield rows
