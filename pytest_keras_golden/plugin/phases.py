"""What the reports of a golden test settle, and the text it fails with."""

from __future__ import annotations

import re
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import GoldenError, telling_line
from ..outcomes import TestOutcome
from ..report.steps import pytest_command
from ..report.terminal import failure_page, missing_page

if TYPE_CHECKING:
    import pytest

    from ..case.collected import Case


def failure_text(outcome: TestOutcome, case: Case) -> str:
    """What a failing test prints; empty where it does not fail."""
    if outcome.outcome == "failed" and outcome.baseline is None and not outcome.tensors:
        return missing_page(outcome, case.goldens.slot().filename, case.goldens.candidates())
    return failure_page(outcome) if outcome.outcome == "failed" else ""


def settled(
    nodeid: str,
    known: TestOutcome | None,
    report: pytest.TestReport,
    error: GoldenError | None = None,
) -> TestOutcome | None:
    """The outcome a report of one phase settles; None where it settles nothing. error: what the
    phase ended with, where that is ours."""
    why = _why(report) if error is None else error.in_a_line
    if report.when != "call":
        if report.passed:
            return None
        status = _without_running(report) or "error"
        return replace(known or TestOutcome(nodeid, status), outcome=status, reason=why)
    if report.passed:
        return known
    status = _without_running(report) or "failed"
    if known is not None:
        return replace(known, outcome=status)
    return TestOutcome(nodeid, status, reason=why)


def _without_running(report: pytest.TestReport) -> str | None:
    """What pytest's `skipped` stands for: expected failures are reported so as well, those of a
    set-up and tests that are never run among them."""
    if not report.skipped:
        return None
    return "xfailed" if hasattr(report, "wasxfail") else "skipped"


def lost(nodeid: str, known: TestOutcome | None, report: pytest.TestReport) -> TestOutcome:
    """The outcome of a test whose process died: an error, whatever it had come to before."""
    reason = f"lost: {report.longrepr or 'its worker died'}"
    return replace(known or TestOutcome(nodeid, "error"), outcome="error", reason=reason)


def seeded_note(outcome: TestOutcome) -> str:
    """Beside the failure of a test that did not ask to be seeded."""
    return _SEEDED.format(command=pytest_command(outcome, "-o golden_seed=none"))


_SEEDED = """\
The random numbers of Python, numpy, Keras and its backend were seeded before this test, which never
asked for it.
To see whether that is why it fails: {command}"""


def _why(report: pytest.TestReport) -> str | None:
    """In a line; of an expected failure, what its mark says before what happened."""
    error = _error(report)
    expected = getattr(report, "wasxfail", None)
    if expected is None or error is None:
        return error
    happened = "" if _XFAIL.match(error) else error
    said = expected.removeprefix("reason: ").strip()
    return ": ".join(filter(None, [said, happened])) or None


_XFAIL = re.compile(r"_pytest\.outcomes\.XFailed\b")
"""How the exception looks that stands for an expected failure, and says nothing of one."""


def _error(report: pytest.TestReport) -> str | None:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return _OURS.sub("", telling_line(text)) if text else None


_OURS = re.compile(r"^pytest_keras_golden\.errors\.\w+: ")


def to_own_line(trace: TracebackType | None) -> TracebackType | None:
    """Up to the last line that is the user's: what lies behind a mistake in using the fixture is
    no news to anybody."""
    frames = _frames(trace)
    own = [number for number, frame in enumerate(frames) if not _is_ours(frame)]
    kept: TracebackType | None = None
    for frame in reversed(frames[: own[-1] + 1] if own else frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def is_all_ours(trace: TracebackType | None) -> bool:
    return all(map(_is_ours, _frames(trace)))


def _frames(trace: TracebackType | None) -> list[TracebackType]:
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    return frames


def _is_ours(frame: TracebackType) -> bool:
    module = str(frame.tb_frame.f_globals.get("__name__", ""))
    return module == "contextlib" or module.partition(".")[0] == "pytest_keras_golden"
