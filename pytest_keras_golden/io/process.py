"""Run a command so that nothing of it outlives the run: not on time-out, Ctrl-C or our own death.

The command leads its own session; ending it ends the whole group. A pipe, the lifeline, closes
when this process dies, however it dies; `witness` in the inner run ends its group then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIFELINE = "KERAS_GOLDEN_LIFELINE"
"""Environment variable: the descriptor that reads end-of-file when the outer process is gone."""

_POLL = 0.05
_GRACE = 3.0


class InterruptedRunError(Exception):
    """The run was ended because `stop` was set."""


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a command ended. exitstatus: negative for a signal, as in subprocess."""

    exitstatus: int
    seconds: float
    timed_out: bool = False


def run_tree(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: Path,
    timeout: float | None = None,
    stop: threading.Event | None = None,
) -> ProcessResult:
    """Run `command` in `folder` with stdout and stderr into the file `output`; wait for its end.

    timeout: seconds after which its whole process group is ended. stop: ends it when set, and
    raises InterruptedRunError; so does any exception (Ctrl-C) in this thread, which passes through.
    """
    reading, writing = os.pipe()
    started = time.monotonic()
    try:
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, LIFELINE: str(reading)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(reading,),
            )
        try:
            timed_out = _wait(process, timeout, stop)
        finally:
            end_group(process)
    finally:
        os.close(reading)
        os.close(writing)
    return ProcessResult(process.returncode, time.monotonic() - started, timed_out)


def _wait(
    process: subprocess.Popen[bytes], timeout: float | None, stop: threading.Event | None
) -> bool:
    """Whether the time ran out before the process ended by itself."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            process.wait(_POLL)
            return False
        except subprocess.TimeoutExpired:
            if stop is not None and stop.is_set():
                raise InterruptedRunError from None
            if deadline is not None and time.monotonic() > deadline:
                return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process's group: politely, then for good; reap the leader."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    # Children that the leader left behind (xdist workers, servers a test started) go as well.
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
