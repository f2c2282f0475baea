from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from processes import PATIENCE, alive, gone, time_is_up_once, wait_for

from pytest_keras_golden.io.process import InterruptedRunError, run_tree

FAMILY = """
import subprocess, sys, time, pathlib
children = [subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])]
written = pathlib.Path(sys.argv[1] + '.part')
written.write_text(' '.join(str(c.pid) for c in children))
written.rename(sys.argv[1])
{end}
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


def run(code: str, tmp_path: Path, **options: object):  # type: ignore[no-untyped-def]
    return run_tree(
        [sys.executable, "-c", code, str(tmp_path / "pids")],
        environment=os.environ,
        folder=tmp_path,
        output=tmp_path / "output",
        **options,  # type: ignore[arg-type]
    )


def test_status_and_output_come_back(tmp_path: Path) -> None:
    finished = run("import sys; print('said'); sys.exit(3)", tmp_path)
    assert (finished.exitstatus, finished.timed_out) == (3, False)
    assert (tmp_path / "output").read_text() == "said\n"


@pytest.mark.processes
def test_children_left_behind_go_with_the_leader(tmp_path: Path) -> None:
    finished = run(FAMILY.format(end=""), tmp_path)
    assert finished.exitstatus == 0
    assert gone(wait_for(tmp_path / "pids"))


@pytest.mark.processes
@pytest.mark.parametrize("prefix", ["", STUBBORN], ids=["polite", "ignores SIGTERM"])
def test_a_time_out_ends_the_whole_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    time_is_up_once(tmp_path / "pids", monkeypatch)
    code = prefix + FAMILY.format(end="time.sleep(600)")
    finished = run(code, tmp_path, timeout=1.0)
    assert finished.timed_out
    monkeypatch.undo()
    assert gone(wait_for(tmp_path / "pids"))


def test_a_stop_from_another_thread_ends_it(tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_once_it_runs() -> None:
        wait_for(tmp_path / "pids")
        stop.set()

    threading.Thread(target=stop_once_it_runs).start()
    with pytest.raises(InterruptedRunError):
        run(FAMILY.format(end="time.sleep(600)"), tmp_path, stop=stop)
    assert gone(wait_for(tmp_path / "pids"))


OUTER = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from pytest_keras_golden.io.process import run_tree
folder = Path(sys.argv[1])
run_tree(
    [sys.executable, '-m', 'pytest', '-q', '-p', 'pytest_keras_golden.versions.trace.witness',
     '-p', 'no:keras_golden', '-p', 'no:cacheprovider', str(folder / 'test_hang.py')],
    environment=os.environ, folder=folder, output=folder / 'output',
)
"""
HANG = """
import pathlib, subprocess, sys, time, os
def test_hang():
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    pathlib.Path({file!r}).write_text(f'{{os.getpid()}} {{child.pid}}')
    time.sleep(600)
"""


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_inner_run_dies_with_us_however_we_die(tmp_path: Path, number: int) -> None:
    pids = tmp_path / "pids"
    (tmp_path / "test_hang.py").write_text(HANG.format(file=str(pids)))
    outer = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(tmp_path)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    family = wait_for(pids)
    assert all(map(alive, family))
    os.kill(outer.pid, number)
    outer.wait(PATIENCE)
    assert gone(family)
