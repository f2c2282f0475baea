"""What the reports of a golden test settle, and the text it fails with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..outcomes import TestOutcome
from ..report.terminal import failure_page, missing_page

if TYPE_CHECKING:
    import pytest

    from ..case.collected import Case


def failure_text(outcome: TestOutcome, case: Case) -> str:
    """What a failing test prints; empty where it does not fail."""
    if outcome.outcome == "failed" and outcome.baseline is None and not outcome.tensors:
        return missing_page(case.nodeid, case.goldens.slot().filename, case.goldens.candidates())
    return failure_page(outcome) if outcome.outcome == "failed" else ""


def settled(
    nodeid: str, known: TestOutcome | None, report: pytest.TestReport
) -> TestOutcome | None:
    """The outcome a report of one phase settles; None where it settles nothing."""
    if report.when != "call":
        if report.passed:
            return None
        status = "skipped" if report.skipped else "error"
        return replace(known or TestOutcome(nodeid, status), outcome=status, reason=_why(report))
    if report.passed:
        return known
    status = "failed"
    if report.skipped:
        status = "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if known is not None:
        return replace(known, outcome=status)
    return TestOutcome(nodeid, status, reason=_why(report))


def lost(nodeid: str, known: TestOutcome | None, report: pytest.TestReport) -> TestOutcome:
    """The outcome of a test whose process died: an error, whatever it had come to before."""
    reason = f"lost: {report.longrepr or 'its worker died'}"
    return replace(known or TestOutcome(nodeid, "error"), outcome="error", reason=reason)


def _why(report: pytest.TestReport) -> str | None:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return text.splitlines()[0] if text else None
