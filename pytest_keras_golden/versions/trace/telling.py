"""What an inner run tells while it runs: how many of its tests are done, and which failed.

Its process writes two small files beside the proofs; the outer one looks at them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluggy import HookimplMarker

from ...config import REPORT_KEY
from ...io.atomic import append_whole, write_whole
from ...outcomes import TestOutcome, test_from_json, to_json

hook = HookimplMarker("pytest")

_DONE, _FAILED = "done.txt", "failed.jsonl"


class Telling:
    """The writing side, one per process that controls a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done = self._total = 0

    def pytest_collection_finish(self, session: Any) -> None:
        self._total = len(session.items)
        self._write()

    @hook(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        self._write()

    def pytest_runtest_logreport(self, report: Any) -> None:
        carried = getattr(report, REPORT_KEY, None)
        if report.failed and carried is not None:
            append_whole(self._folder / _FAILED, json.dumps(to_json(carried)) + "\n")

    def _write(self) -> None:
        write_whole(self._folder / _DONE, f"{self._done} {self._total}")


@dataclass(frozen=True, slots=True)
class Told:
    """The reading side. total: 0 until it is known."""

    done: int = 0
    total: int = 0
    failed: tuple[TestOutcome, ...] = ()


def told(folder: Path) -> Told:
    """What has been told so far; nothing of a run that has not begun."""
    try:
        done, total = map(int, (folder / _DONE).read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        done = total = 0
    return Told(done, total, tuple(_failed(folder)))


def _failed(folder: Path) -> Iterator[TestOutcome]:
    try:
        lines = (folder / _FAILED).read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return
    for line in lines:
        # The last one may still be being written.
        if line.endswith("\n"):
            yield test_from_json(json.loads(line))
