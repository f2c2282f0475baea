"""Tests that fail where they are recorded and pass where nobody looks: that is no word about a
release, and a gate says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from .inner.job import InnerRun
from .verdicts import PASSES, VerdictRow

OLD_PLAINLY = "old plainly"

PlainRun = Callable[[Collection[str]], InnerRun]
"""Node ids → a run of them on the old side that leaves alone what does not ask for the plugin."""


def told_apart(
    found: Sequence[VerdictRow], plain: PlainRun, runs: dict[str, InnerRun]
) -> tuple[VerdictRow, ...]:
    """The rows; of tests that failed on the old side, with whether they do so plainly as well."""
    failed = {row.nodeid for row in found if row.status == "failing before" and row.outcome}
    if not failed:
        return tuple(found)
    run = runs[OLD_PLAINLY] = plain(failed)
    passes = failed - failing(run, failed)
    return tuple(
        replace(row, reason=PASSES + (row.reason or "")) if row.nodeid in passes else row
        for row in found
    )


def failing(run: InnerRun, asked: Collection[str]) -> frozenset[str]:
    """Which of these tests pytest's short summary calls failed; all, where it does not say."""
    if run.exitstatus == 0:
        return frozenset()
    lines = [line for line in run.output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    told = frozenset(name for name in asked if any(_names(line, name) for line in lines))
    return told if run.exitstatus == 1 and told else frozenset(asked)


def _names(line: str, nodeid: str) -> bool:
    said = line.partition(" ")[2]
    return said == nodeid or said.startswith(f"{nodeid} - ")
