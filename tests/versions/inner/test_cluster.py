"""Inner runs on a real local Dask cluster of two worker processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import gone, wait_for
from suites import NORM, PROGRAM, as_json, environment, keras_golden, suite

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.versions.inner.jobs import runner

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow


def test_a_silent_scheduler_is_a_clear_error() -> None:
    with pytest.raises(StackError, match="No Dask scheduler"), runner(1, "dask://127.0.0.1:9"):
        pass


SLOW = """
import os, time
from pathlib import Path
def test_a():
    folder = Path(__file__).parent
    with (folder / "started").open("a") as file:
        file.write("x")
    while not (folder.parent / "killed").exists():
        time.sleep(0.05)
"""
WATCHED = """
import os, sys
from pathlib import Path
from pytest_keras_golden.versions.inner.job import Job
from pytest_keras_golden.versions.inner.jobs import run_all, runner

if __name__ == "__main__":
    import threading, time
    from distributed import LocalCluster
    root = Path(sys.argv[1])
    names = ("a", "b", "c", "d")
    jobs = {name: Job((), (), (), root / name, root / "runs" / name) for name in names}
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with LocalCluster(processes=True, **options) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        pids = [worker.pid for worker in cluster.workers.values()]

        def kill_one():
            while sum((root / name / "started").exists() for name in names) < 2:
                time.sleep(0.05)
            os.kill(pids[0], 9)
            (root / "killed").touch()

        threading.Thread(target=kill_one, daemon=True).start()
        with runner(1, address) as where:
            done = run_all(jobs, where)
        print("PIDS", len(set(pids)), "KILLED", pids[0])
    for name, run in done.items():
        print(name, run.exitstatus, run.lost)
"""


def test_a_dask_cluster_runs_the_same_jobs_though_a_worker_dies(tmp_path: Path) -> None:
    for name in "abcd":
        suite(tmp_path / name, test_a=SLOW)
    script = tmp_path / "watched.py"
    script.write_text(WATCHED)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.split("\n")
    assert lines[0].startswith("PIDS 2 KILLED")
    assert lines[1:5] == [f"{name} 0 False" for name in "abcd"]
    tries = [(tmp_path / name / "started").read_text() for name in "abcd"]
    assert sum(map(len, tries)) > 4, "the killed worker's cell was run again"


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with LocalCluster(processes=True, **options) as cluster:
        print(cluster.scheduler_address.replace("tcp://", "dask://"), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster whose workers were started with another backend."""
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment(KERAS_BACKEND="numpy"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    yield process.stdout.readline().strip()
    process.communicate()


@pytest.mark.overlay
def test_a_matrix_runs_on_the_workers_under_the_commands_own_backend(
    tmp_path: Path, cluster: str
) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    kept = tmp_path / "kept"
    command = ["matrix", "3.5.0", "3.6.0", "--executor", cluster, "--keep", str(kept)]
    done = keras_golden(folder, *command, "--json", "-")
    assert done.returncode == 1, done.stderr[-3000:]
    cells = as_json(done)["cells"]
    red = [(cell["nodeid"], cell["version"]) for cell in cells if cell["status"] != "holds"]
    assert (len(cells), red) == (4, [("test_norm.py::test_norm", "3.6.0")])
    logs = [json.loads(path.read_text()) for path in (kept / "runs").glob("*/log.json")]
    assert [log["stack"]["backend"] for log in logs] == ["jax"] * 3


HANGS = """
import os, pathlib, time
def test_a():
    (pathlib.Path(__file__).parent / "pid").write_text(str(os.getpid()))
    time.sleep(600)
"""


@pytest.mark.overlay
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_no_process_stays_on_the_workers(
    tmp_path: Path, cluster: str, number: signal.Signals
) -> None:
    folder = suite(tmp_path / "suite", test_a=HANGS)
    command = [*PROGRAM, "matrix", "3.5.0", "3.6.0", "--executor", cluster]
    process = subprocess.Popen(command, cwd=folder, env=environment())
    pids = wait_for(folder / "pid", 300)
    process.send_signal(number)
    process.wait()
    assert gone(pids, 30)


@pytest.mark.overlay
def test_sides_of_several_packages_and_switches_run_on_the_workers(
    tmp_path: Path, cluster: str
) -> None:
    """The culprit's mixtures and the search for its release, too."""
    folder = suite(tmp_path / "suite", test_norm=NORM)
    sides = "keras==3.5.0,namex==0.0.8,jit=on", "keras==3.7.0,namex==0.1.0,jit=off"
    done = keras_golden(folder, "gate", *sides, "--executor", cluster, "--json", "-")
    assert done.returncode == 1, done.stderr[-3000:]
    told = as_json(done)
    assert {change["name"] for change in told["changes"]} == {"keras", "namex", "jit"}
    assert told["culprit"] == [{"name": "keras", "old": "3.5.0", "new": "3.7.0"}]
    since = told["culprit_search"]["since"]
    assert (since["last_good"], since["first_bad"]) == ("3.5.0", "3.6.0")
