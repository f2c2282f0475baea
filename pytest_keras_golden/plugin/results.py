"""What a session learned of its tests, from their reports: the log, the reports, the summary."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..aliases import unfitting_aliases
from ..config import PAGE_KEY, REPORT_KEY, Settings
from ..errors import GoldenError
from ..io.atomic import write_whole
from ..tolerance import unfitting_tolerances
from .items import FIXTURE, MARKER
from .unused import LeftOut

if TYPE_CHECKING:
    from ..outcomes import TestOutcome

BEGUN_KEY = "keras_golden_begun"
"""Attribute of the report of a golden test's set-up: its node id, as outcomes have it."""


class _Page:
    """A failure page that takes the width and the colours of the terminal that it is written to."""

    def __init__(self, plain: Any, outcome: TestOutcome) -> None:
        self._plain = plain
        self._outcome = outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def __str__(self) -> str:
        return str(self._plain)

    def toterminal(self, terminal: Any) -> None:
        from ..report.terminal import failure_page

        for line in failure_page(self._outcome, _width(terminal), terminal.hasmarkup).splitlines():
            terminal.line(_encodable(line, terminal))


def _width(terminal: Any) -> int:
    """Of a page: a file has no width, and pytest takes it for 80; so does COLUMNS where readline,
    which sets it, was imported without a terminal."""
    from ..report.terminal import NARROW, WIDE, WIDTH

    return max(NARROW, min(WIDE, terminal.fullwidth)) if _is_terminal(terminal) else WIDTH


def _is_terminal(terminal: Any) -> bool:
    return bool(getattr(terminal._file, "isatty", bool)())


def _encodable(line: str, terminal: Any) -> str:
    """pytest writes escapes for signs that a terminal does not know."""
    from ..report.plain import encodable

    return encodable(line, getattr(terminal._file, "encoding", None))


class Results:
    """One registered per pytest session, beside `LeftOut`, whose reasons the log repeats."""

    def __init__(self, config: pytest.Config, settings: Settings, left_out: LeftOut) -> None:
        self._config = config
        self._settings = settings
        self._left_out = left_out
        self._outcomes: dict[str, TestOutcome] = {}
        self._collection_errors: list[str] = []
        self._asked = settings.auto or settings.update
        self._output_error: str | None = None
        self._running: dict[str, str | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        carried = getattr(report, REPORT_KEY, None)
        if carried is not None:
            from ..outcomes import test_from_json

            outcome = test_from_json(carried) if isinstance(carried, dict) else carried
            self._outcomes[outcome.nodeid] = outcome
            if getattr(report, PAGE_KEY, False) and outcome.baseline is not None:
                page: Any = _Page(report.longrepr, outcome)
                report.longrepr = page
        self._follow(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> Generator[None, Any, Any]:
        """As JSON only where a report leaves the process: for a worker's controller, or a log."""
        carried = getattr(report, REPORT_KEY, None)
        if carried is not None:
            from ..outcomes import to_json

            setattr(report, REPORT_KEY, to_json(carried))
        return (yield)

    def _follow(self, report: pytest.TestReport) -> None:
        """Which tests have begun, by node id: a worker that dies says nothing of its last one."""
        if report.when == "setup":
            self._running[report.nodeid] = getattr(report, BEGUN_KEY, None)
        elif report.when == "teardown":
            self._running.pop(report.nodeid, None)
        elif str(report.when) != "call" and report.failed:
            self._lose(report)

    def _lose(self, report: pytest.TestReport) -> None:
        """pytest-xdist reports the test of a dead worker, and no phase of it."""
        from .phases import lost

        # One that died in its set-up has told nobody whether it is golden.
        asked = self._settings.auto or self._settings.log or self._settings.report
        nodeid = self._running.pop(report.nodeid, report.nodeid if asked else None)
        if nodeid is not None:
            self._outcomes[nodeid] = lost(nodeid, self._outcomes.get(nodeid), report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._collection_errors.append(report.nodeid)
            self._asked |= _speaks_of_goldens(self._config.rootpath / report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self._config, "workerinput"):
            return
        try:
            self._write_outputs(int(exitstatus))
        except OSError as error:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            self._output_error = (
                f"cannot write {error.filename or 'the log'}: {error.strerror or error}"
            )

    def _write_outputs(self, exitstatus: int) -> None:
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        asked = self._settings.log is not None or self._settings.report is not None
        if not (asked or (summary and (self._outcomes or self._lost_in_collection))):
            return
        from ..report.files import append_step_summary, write_report

        document = self._log(exitstatus)
        if self._settings.log is not None:
            text = json.dumps(document, indent=1, allow_nan=False)
            write_whole(self._settings.log, text + "\n")
        if self._settings.report is not None:
            write_report(document, self._settings.report)
        append_step_summary(document, summary)

    def _log(self, exitstatus: int) -> dict[str, Any]:
        """The `--golden-log` document, schema 1."""
        from ..outcomes import log_json

        return log_json(
            exitstatus,
            self._stack(),
            self._outcomes.values(),
            self._collection_errors,
            self._left_out.reasons(exitstatus, self._outcomes, self._settings.goldens_dir),
        )

    def _stack(self) -> dict[str, Any]:
        from ..stack import running_stack

        stacks = (dict(outcome.stack) for outcome in self._outcomes.values() if outcome.stack)
        stack = next(stacks, None)
        if stack is None and "keras" in sys.modules:
            return running_stack()
        return stack or {}

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        if self._output_error:
            from ..report.escape import visible

            terminalreporter.section("golden tensors: output lost", red=True)
            terminalreporter.write_line(visible(self._output_error))
            terminalreporter.write_line("Name a writable file: --golden-log, --golden-report")
        if self._lost_in_collection and "keras" not in sys.modules:
            terminalreporter.section("golden tensors")
            terminalreporter.write_line(_why_no_keras())
            return
        if not self._outcomes and not self._lost_in_collection:
            return
        from ..report.closing import terminal_summary, update_pages
        from ..report.summary import compared
        from ..report.terminal import summary_line, within

        outcomes = tuple(self._outcomes.values())
        lines = []
        if terminalreporter.verbosity > 0:
            lines += [summary_line(outcome) for outcome in compared(outcomes)]
        lines += update_pages(outcomes)
        file = self._settings.report or self._settings.log
        unused, unfitting = self._unused(exitstatus)
        color = bool(terminalreporter._tw.hasmarkup)
        lines.append(
            terminal_summary(
                outcomes,
                unused,
                unfitting,
                color=color,
                file=file,
                record=self._recording_command(),
            )
        )
        terminalreporter.section("golden tensors")
        writer = terminalreporter._tw
        # A file is read by programs too: its lines stay whole.
        width = _width(writer) if _is_terminal(writer) else sys.maxsize
        for line in within("\n".join(lines), width):
            terminalreporter.write_line(_encodable(line, writer))

    @property
    def _lost_in_collection(self) -> bool:
        """Whether golden tests may be among what could not be collected."""
        return bool(self._collection_errors) and self._asked

    def _recording_command(self) -> str:
        """What records the missing goldens of what this run was asked for, and accepts no drift."""
        from ..report.escape import passed, quoted

        options = map(passed, self._settings.repeated)
        paths = map(quoted, self._config.option.file_or_dir)
        update = ("--update-goldens", "--update-goldens-mode=missing")
        return " ".join(["pytest", *options, *paths, *update])

    def _unused(self, exitstatus: int) -> tuple[list[str], list[str]]:
        """Goldens of no test, and settings that fit nothing, where this run can tell."""
        try:
            root = self._settings.goldens_dir
            if not self._outcomes or not self._left_out.is_whole(exitstatus, self._outcomes, root):
                return [], []
            goldens = self._left_out.unused(self._outcomes, root)
        except GoldenError:
            # Tests that need the folder have failed on it; the summary must not fall over it.
            return [], []
        names = {tensor.name for test in self._outcomes.values() for tensor in test.tensors}
        settings = self._settings
        return goldens, [
            *unfitting_tolerances(settings.tolerances, names),
            *unfitting_aliases(settings.aliases, names),
        ]


def _speaks_of_goldens(file: Path) -> bool:
    """Whether a test file that could not be imported names the fixture or the marker."""
    try:
        text = file.read_bytes()
    except OSError:  # a folder, or what another plugin collects
        return False
    return any(name.encode() in text for name in (FIXTURE, MARKER))


def _why_no_keras() -> str:
    """In a line: what a run that could not collect golden tests lacks, and what to set."""
    from ..stack import import_keras

    try:
        import_keras()
    except GoldenError as error:
        return ". ".join(str(error).splitlines())
    return "golden tests could not be collected: see the errors above"
