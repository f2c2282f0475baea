"""Waiting for what other processes do."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

PATIENCE = 300.0
"""Seconds after which what should have happened will not: no event takes that long."""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pids: list[int], within: float = PATIENCE) -> bool:
    deadline = time.monotonic() + within
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for(file: Path, within: float = PATIENCE) -> list[int]:
    deadline = time.monotonic() + within
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.02)
    return [int(pid) for pid in file.read_text().split()]


def time_is_up_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock by which time-outs are measured stands until `file` is there, then it is too late:
    how long a loaded machine takes to get there decides nothing."""
    process = SimpleNamespace(monotonic=lambda: 1e9 * file.exists())
    monkeypatch.setattr("pytest_keras_golden.io.process.time", process)
