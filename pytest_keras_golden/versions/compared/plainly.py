"""Tests that fail on the old side, once without being recorded: whose failure is it?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from ..inner.job import InnerRun
from .verdicts import PASSES, VerdictRow

PlainRun = Callable[[Collection[str]], InnerRun]
"""Node ids → a run of them on the old side that leaves alone what does not ask for the plugin."""

OLD_PLAINLY = "old plainly"


def told_apart(
    found: Sequence[VerdictRow], plain: PlainRun, runs: dict[str, InnerRun]
) -> tuple[VerdictRow, ...]:
    """The rows; of tests that failed on the old side, with whether they do so plainly as well."""
    failed = {row.nodeid for row in found if row.status == "failing before" and row.outcome}
    if not failed:
        return tuple(found)
    run = runs[OLD_PLAINLY] = plain(failed)
    passes = passing(run, failed)
    return tuple(
        replace(row, reason=PASSES + (row.reason or "")) if row.nodeid in passes else row
        for row in found
    )


def passing(run: InnerRun, asked: Collection[str]) -> frozenset[str]:
    """Which of these tests pytest's short summary says passed."""
    lines = (line for line in run.output.splitlines() if line.startswith(_PASSED))
    return frozenset(asked) & {line.removeprefix(_PASSED) for line in lines}


_PASSED = "PASSED "
