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
from ...report.sentence import headline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group

    from ...outcomes import TestOutcome
    from .job import InnerRun


class Progress(Protocol):
    """Told about each inner run. `label` says which one."""

    def started(self, label: str, expected: float | None = None) -> None:
        """expected: how many seconds it will take, where a run before it lets guess."""

    def advanced(self, label: str, done: int, total: int) -> None:
        """So many of its tests are done."""

    def failed(self, label: str, test: TestOutcome) -> None:
        """A test of it failed just now."""

    def said(self, line: str) -> None:
        """What is known before the end."""

    def finished(self, label: str, result: str) -> None: ...


class Silent:
    """Says nothing."""

    def started(self, label: str, expected: float | None = None) -> None:
        """Says nothing."""

    def advanced(self, label: str, done: int, total: int) -> None:
        """Says nothing."""

    def failed(self, label: str, test: TestOutcome) -> None:
        """Says nothing."""

    def said(self, line: str) -> None:
        """Says nothing."""

    def finished(self, label: str, result: str) -> None:
        """Says nothing."""


@dataclass(slots=True)
class _Run:
    """One run as it goes on. expected: seconds, where a run before it lets guess. began: when the
    first of its tests were done, which were `first` many."""

    since: float
    expected: float | None = None
    done: int = 0
    total: int = 0
    began: float | None = None
    first: int = 0
    told: float = 0.0
    until: float | None = None
    result: str = ""

    def advance(self, done: int, total: int) -> None:
        if done and self.began is None:
            # Imports are over; from here on tests take the time.
            self.began = time.monotonic()
            self.first = done
        self.done, self.total = done, total

    @property
    def state(self) -> str:
        """`12 of 30 tests done, about 20 s left`."""
        tests = f"{self.done} of {self.total} tests done" if self.total else ""
        return ", ".join(filter(None, [tests, self._left()]))

    def _left(self) -> str:
        now = time.monotonic()
        if self.expected:
            return f"about {max(1.0, self.expected - (now - self.since)):.0f} s left"
        if self.began is None or self.done <= self.first:
            return ""
        each = (now - self.began) / (self.done - self.first)
        return f"about {each * (self.total - self.done):.0f} s left"


_EVERY_S = 20.0
"""How often a log hears of a run that goes on."""


@dataclass(slots=True)
class Lines:
    """A line per event, for logs."""

    stream: TextIO
    _runs: dict[str, _Run] = field(default_factory=dict)

    def started(self, label: str, expected: float | None = None) -> None:
        now = time.monotonic()
        self._runs[label] = _Run(now, expected, told=now)
        self._say(f"{label} …" + (f" about {expected:.0f} s" if expected else ""))

    def advanced(self, label: str, done: int, total: int) -> None:
        run = self._runs[label]
        run.advance(done, total)
        now = time.monotonic()
        if 0 < done < total and now - run.told >= _EVERY_S:
            run.told = now
            self._say(f"{label}: {run.state}")

    def failed(self, label: str, test: TestOutcome) -> None:
        """A log has the whole result soon enough."""

    def said(self, line: str) -> None:
        self._say(line)

    def finished(self, label: str, result: str) -> None:
        now = time.monotonic()
        run = self._runs.pop(label, _Run(now))
        self._say(f"{label}: {result} ({now - run.since:.1f} s)")

    def _say(self, line: str) -> None:
        self.stream.write(escape.visible(line) + "\n")
        self.stream.flush()


@dataclass(slots=True)
class Rows:
    """The rows of a live table; rich renders them anew several times a second."""

    title: str
    runs: dict[str, _Run] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, label: str, expected: float | None = None) -> None:
        with self._lock:
            self.runs[label] = _Run(time.monotonic(), expected)

    def advanced(self, label: str, done: int, total: int) -> None:
        with self._lock:
            self.runs[label].advance(done, total)

    def failed(self, label: str, test: TestOutcome) -> None:
        """The table says how many tests are done; what failed is told by whoever judges it."""

    def said(self, line: str) -> None:
        with self._lock:
            self.notes.append(line)

    def finished(self, label: str, result: str) -> None:
        now = time.monotonic()
        with self._lock:
            run = self.runs.setdefault(label, _Run(now))
            run.until, run.result = now, result

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.table import Table

        table = Table(title=escape.text(self.title), title_justify="left")
        for column, justify in (("run", "left"), ("state", "left"), ("time", "right")):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        with self._lock:
            runs, notes = dict(self.runs), list(self.notes)
        for label, run in runs.items():
            ended = run.until is not None
            state = run.result if ended else ", ".join(filter(None, ["running", run.state]))
            end = time.monotonic() if run.until is None else run.until
            took = f"{end - run.since:.0f} s"
            table.add_row(escape.text(label), escape.text(state), took)
        return Group(table, *map(escape.text, notes))


_SENTENCE = 240


@dataclass(slots=True)
class FirstVerdict:
    """Passes progress on, and says at once what fails first under the new side alone."""

    told: Progress
    side: str
    first: InnerRun
    _said: bool = False

    def started(self, label: str, expected: float | None = None) -> None:
        self.told.started(label, expected)

    def advanced(self, label: str, done: int, total: int) -> None:
        self.told.advanced(label, done, total)

    def failed(self, label: str, test: TestOutcome) -> None:
        before = self.first.tests.get(test.nodeid)
        if self._said or before is None or before.outcome != "recorded":
            return
        self._said = True
        said = escape.shortened(headline(test), _SENTENCE)
        self.told.said(f"first to differ under {self.side}: {test.nodeid}: {said}")

    def said(self, line: str) -> None:
        self.told.said(line)

    def finished(self, label: str, result: str) -> None:
        self.told.finished(label, result)


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
