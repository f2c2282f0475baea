"""Inner runs over executors. The suites need no Keras: they are about processes, not numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import PATIENCE, gone, time_is_up_once, wait_for
from suites import suite

from pytest_keras_golden.errors import ConfigError, StackError
from pytest_keras_golden.versions.inner.job import Job, Pin
from pytest_keras_golden.versions.inner.jobs import run_all, runner
from pytest_keras_golden.versions.inner.run import run_inner

pytestmark = pytest.mark.processes

PASSING = "def test_a(): pass\n"
COUNTING = """
from pathlib import Path
def test_a():
    with (Path(__file__).parent / "ran").open("a") as file:
        file.write("x")
"""
DIES_ONCE = """
import os, signal
from pathlib import Path
def test_a():
    mark = Path(__file__).parent / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""
DIES = "import os, signal\ndef test_a(): os.kill(os.getpid(), signal.SIGKILL)\n"
HANGS = """
import os, pathlib, subprocess, sys, time
def test_a():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pids = pathlib.Path(__file__).parent / "pids"
    pids.with_suffix(".part").write_text(f"{os.getpid()} {child.pid}")
    pids.with_suffix(".part").rename(pids)
    time.sleep(600)
"""


def job(folder: Path, place: Path, **options: object) -> Job:
    arguments = ("-p", "no:randomly")
    return Job((), arguments, (), folder, place / folder.name, **options)  # type: ignore[arg-type]


def test_every_job_is_answered_in_order(tmp_path: Path) -> None:
    jobs = {name: job(suite(tmp_path / name, test_a=PASSING), tmp_path / "runs") for name in "abc"}
    with runner(2) as where:
        done = run_all(jobs, where)
    assert list(done) == ["a", "b", "c"]
    assert [run.exitstatus for run in done.values()] == [0, 0, 0]
    assert all(run.log is not None for run in done.values())


def test_a_whole_run_is_not_run_again(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_a=COUNTING)
    first = run_inner(job(folder, tmp_path / "runs", resumes=True))
    second = run_inner(job(folder, tmp_path / "runs", resumes=True))
    assert (folder / "ran").read_text() == "x"
    assert (second.exitstatus, second.log) == (first.exitstatus, first.log)


def test_a_job_whose_process_dies_is_tried_again(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_a=DIES_ONCE)
    with runner(1) as where:
        done = run_all({"a": job(folder, tmp_path / "runs")}, where)["a"]
    assert (done.exitstatus, done.lost) == (0, False)


def test_a_job_lost_twice_is_lost_and_the_others_are_there(tmp_path: Path) -> None:
    jobs = {
        "dies": job(suite(tmp_path / "dies", test_a=DIES), tmp_path / "runs"),
        "fine": job(suite(tmp_path / "fine", test_a=PASSING), tmp_path / "runs"),
    }
    with runner(1) as where:
        done = run_all(jobs, where)
    assert done["dies"].lost
    assert done["dies"].why() == "died of signal 9"
    assert done["fine"].exitstatus == 0


def test_a_hanging_run_is_ended_by_the_time_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = suite(tmp_path / "suite", test_a=HANGS)
    time_is_up_once(folder / "pids", monkeypatch)
    with runner(1) as where:
        done = run_all({"a": job(folder, tmp_path / "runs", timeout=12.0)}, where)["a"]
    monkeypatch.undo()
    assert done.timed_out
    assert not done.lost
    assert "time-out" in done.why()
    assert gone(wait_for(folder / "pids"))


@pytest.mark.parametrize(
    ("package", "holds", "modules"),
    [
        ("keras-hub", ["keras_hub/__init__.py"], ("keras_hub",)),
        ("scikit-learn", ["sklearn/__init__.py", "tests/__init__.py"], ("sklearn",)),
        ("six", ["six.py", "six-1.dist-info/METADATA"], ("six",)),
        ("pyyaml", ["yaml/__init__.py", "_yaml/__init__.py"], ("yaml",)),
        ("protobuf", ["google/protobuf/__init__.py"], ("protobuf",)),
    ],
)
def test_a_package_is_looked_for_under_the_names_it_is_imported_by(
    tmp_path: Path, package: str, holds: list[str], modules: tuple[str, ...]
) -> None:
    for name in holds:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert Pin(package, "1", tmp_path).modules == modules


@pytest.mark.parametrize("how", ["pythonpath", "working directory"])
def test_a_shadowed_package_is_refused(tmp_path: Path, how: str) -> None:
    folder = suite(tmp_path / "suite", test_a=PASSING)
    overlay = tmp_path / "overlay"
    for place in (overlay, folder if how == "working directory" else folder / "lib"):
        (place / "subject").mkdir(parents=True)
        (place / "subject" / "__init__.py").touch()
    if how == "pythonpath":
        (folder / "pytest.ini").write_text("[pytest]\npythonpath = lib\n")
    pinned = Job((Pin("subject", "1", overlay),), (), (), folder, tmp_path / "runs" / "a")
    with runner(1) as where, pytest.raises(StackError, match="something shadows the version"):
        run_all({"a": pinned}, where)


def test_an_import_hook_of_an_editable_install_is_refused(tmp_path: Path) -> None:
    """As meson-python's and scikit-build's editable installs do it: a finder placed first."""
    hook = """
import importlib.machinery, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "subject":
            return importlib.machinery.PathFinder.find_spec(name, [{source!r}])
sys.meta_path.insert(0, Finder)
"""
    source, overlay = tmp_path / "source", tmp_path / "overlay"
    for place in (source, overlay):
        (place / "subject").mkdir(parents=True)
        (place / "subject" / "__init__.py").touch()
    folder = suite(tmp_path / "suite", test_a=PASSING, conftest=hook.format(source=str(source)))
    pinned = Job((Pin("subject", "1", overlay),), (), (), folder, tmp_path / "runs" / "a")
    with runner(1) as where, pytest.raises(StackError, match="editable install"):
        run_all({"a": pinned}, where)


def test_a_package_swapped_while_tests_run_is_refused(tmp_path: Path) -> None:
    source, overlay = tmp_path / "source", tmp_path / "overlay"
    for place in (source, overlay):
        (place / "subject").mkdir(parents=True)
        (place / "subject" / "__init__.py").touch()
    swap = (
        f"import sys\ndef test_a():\n    sys.path.insert(0, {str(source)!r})\n    import subject\n"
    )
    folder = suite(tmp_path / "suite", test_a=swap)
    pinned = Job((Pin("subject", "1", overlay),), (), (), folder, tmp_path / "runs" / "a")
    with runner(1) as where, pytest.raises(StackError, match="something shadows the version"):
        run_all({"a": pinned}, where)


def test_xdist_workers_run_the_overlay_and_prove_it(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    overlay = tmp_path / "overlay"
    (overlay / "subject").mkdir(parents=True)
    (overlay / "subject" / "__init__.py").write_text("VALUE = 'overlaid'\n")
    test = "import subject\ndef test_a(): assert subject.VALUE == 'overlaid'\ndef test_b(): pass\n"
    folder = suite(tmp_path / "suite", test_a=test)
    arguments = ("-p", "xdist", "-n", "2")
    pinned = Job((Pin("subject", "1", overlay),), arguments, (), folder, tmp_path / "runs" / "a")
    done = run_inner(pinned)
    assert done.exitstatus == 0, done.output


OUTER = """
import sys
from pathlib import Path
from pytest_keras_golden.versions.inner.job import Job
from pytest_keras_golden.versions.inner.jobs import run_all, runner
root = Path(sys.argv[1])
jobs = {
    name: Job((), (), (), root / name, root / "runs" / name, resumes=True)
    for name in ("quick", "hangs")
}
with runner(2) as where:
    run_all(jobs, where)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_no_process_stays_and_finished_work_is_kept(
    tmp_path: Path, number: int
) -> None:
    quick = suite(tmp_path / "quick", test_a=COUNTING)
    hangs = suite(tmp_path / "hangs", test_a=HANGS)
    outer = subprocess.Popen(
        [sys.executable, "-c", OUTER, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    family = wait_for(hangs / "pids")
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "runs" / "quick" / "run.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(outer.pid, number)
    outer.wait(PATIENCE)
    assert gone(family)
    (hangs / "test_a.py").write_text(PASSING)
    again = subprocess.run([sys.executable, "-c", OUTER, str(tmp_path)])
    assert again.returncode == 0
    assert (quick / "ran").read_text() == "x"


def test_an_unknown_executor_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="none we know"), runner(1, "slurm://x"):
        pass


def test_runs_that_met_in_a_file_are_run_again_each_alone(tmp_path: Path) -> None:
    """Suites leave scratch files beside their tests, under one name for every run."""
    folder = suite(tmp_path / "suite", test_a=COUNTING)
    jobs = {name: job(folder, tmp_path / name, resumes=True) for name in "ab"}
    with runner(2) as where:
        done = run_all(jobs, where)
    assert [run.exitstatus for run in done.values()] == [0, 0]
    assert (folder / "ran").read_text() == "xxxx"


SCRATCH = """
import pathlib, tempfile
def test_a():
    scratch = pathlib.Path(tempfile.gettempdir(), "scratch")
    assert not scratch.exists()
    scratch.write_text("mine")
    noted = pathlib.Path(__file__).parent / ".hypothesis"
    noted.mkdir(exist_ok=True)
    with open(noted / "ran", "a") as file:
        file.write(f"{scratch}\\n")
"""


def test_each_run_has_a_temporary_folder_of_its_own(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_a=SCRATCH)
    jobs = {name: job(folder, tmp_path / name, resumes=True) for name in "ab"}
    with runner(2) as where:
        done = run_all(jobs, where)
        again = run_all(jobs, where)
    assert [run.exitstatus for run in done.values()] == [0, 0]
    used = (folder / ".hypothesis" / "ran").read_text().splitlines()
    assert len(set(used)) == len(used) == 2
    assert not any(Path(path).parent.exists() for path in used)
    assert all(run.reused for run in again.values())
