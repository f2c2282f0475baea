"""A finished inner run is taken again only where nothing that it saw has changed: real pytest runs,
without Keras, each followed by one change."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from suites import suite

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.io.ownership import claim
from pytest_keras_golden.versions.inner.job import InnerRun, Job, Pin
from pytest_keras_golden.versions.inner.run import command, run_inner
from pytest_keras_golden.versions.trace import evidence
from pytest_keras_golden.versions.trace.heard import state
from pytest_keras_golden.versions.trace.listener import Listener

pytestmark = pytest.mark.processes

READS = """
import json
import sys
from pathlib import Path

import library

HERE = Path(__file__).parent
OUTSIDE = HERE.parent / "outside"


def test_a():
    assert json.loads((HERE / "cfg.json").read_text())["scale"] == 1
    assert (OUTSIDE / "weights.txt").read_text()
    try:
        (OUTSIDE / "optional.txt").read_text()
    except FileNotFoundError:
        pass
    assert library.VALUE == 1
    with (HERE / "ran.txt").open("a") as file:
        file.write("x")
"""


class Suite:
    """A suite that reads data beside itself, data elsewhere and a library elsewhere."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = suite(tmp_path / "suite", test_a=READS)
        (self.folder / "cfg.json").write_text('{"scale": 1}')
        (self.folder / "unread.h5").write_text("a")
        self.outside = tmp_path / "outside"
        (self.outside / "lib").mkdir(parents=True)
        (self.outside / "weights.txt").write_text("1")
        (self.outside / "model.weights.h5").write_text("1")
        (self.outside / "lib" / "library.py").write_text("VALUE = 1\n")
        monkeypatch.setenv("PYTHONPATH", str(self.outside / "lib"), prepend=os.pathsep)
        self.place = tmp_path / "runs" / "a"

    def job(self, *arguments: str, **options: object) -> Job:
        given = ("-p", "no:randomly", *arguments)
        return Job((), given, (), self.folder, self.place, resumes=True, **options)  # type: ignore[arg-type]

    def run(self, *arguments: str, **options: object) -> InnerRun:
        done = run_inner(self.job(*arguments, **options))
        assert done.exitstatus == 0, done.output
        return done


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    return Suite(tmp_path, monkeypatch)


def test_with_nothing_changed_a_run_is_taken_again_and_says_of_when_it_is(made: Suite) -> None:
    first = made.run()
    assert first.reused is None
    again = made.run()
    assert again.reused is not None
    assert again.reused[:2] == "20"
    assert (again.log, again.exitstatus) == (first.log, first.exitstatus)
    assert (made.folder / "ran.txt").read_text() == "x"


def change(path: str, text: str = "2") -> Callable[[Suite], None]:
    return lambda made: (made.folder.parent / path).write_text(text) and None  # type: ignore[func-returns-value]


def touch_alone(made: Suite) -> None:
    """Size and content as before, another time: cheaper to run again than to read everything."""
    os.utime(made.folder / "cfg.json", ns=(1, 1))


CHANGES: dict[str, Callable[[Suite], None]] = {
    "data of the suite": change("suite/cfg.json", '{"scale": 1 }'),
    "data that C code may read": change("suite/unread.h5", "bb"),
    "a new file of the suite": change("suite/conftest.py", ""),
    "data elsewhere": change("outside/weights.txt", "22"),
    "weights beside data elsewhere": change("outside/model.weights.h5", "22"),
    "a file that was looked for": change("outside/optional.txt"),
    "a library elsewhere": change("outside/lib/library.py", "VALUE = 1  # edited\n"),
    "a module that would shadow": change("outside/lib/json.py", ""),
    "the time of a file": touch_alone,
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_was_seen_and_changed_leads_to_another_run(made: Suite, name: str) -> None:
    made.run()
    CHANGES[name](made)
    job = made.job()
    assert run_inner(job).reused is None


def test_the_environment_counts_but_for_the_session(
    made: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.run()
    for name, value in (("SHLVL", "9"), ("OLDPWD", "/x"), ("SSH_TTY", "/dev/x"), ("TERM", "vt")):
        monkeypatch.setenv(name, value)
    assert made.run().reused
    monkeypatch.setenv("ANY_VARIABLE_AT_ALL", "1")
    assert made.run().reused is None
    assert made.run().reused
    monkeypatch.delenv("ANY_VARIABLE_AT_ALL")
    assert made.run().reused is None


def test_another_command_line_is_another_run(made: Suite) -> None:
    made.run()
    assert made.run("-k", "test_a").reused is None


def test_an_installed_distribution_counts(made: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    site = made.outside / "site-packages"
    (site / "thing-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site))
    made.run()
    assert made.run().reused
    (site / "thing-1.0.dist-info").rename(site / "thing-2.0.dist-info")
    assert made.run().reused is None


def test_what_the_command_writes_itself_is_no_input(made: Suite) -> None:
    files = (made.folder / "gate.json", made.folder / "gate.md")
    made.run(left_out=files)
    for file in files:
        file.write_text("{}")
    assert made.run(left_out=files).reused
    assert made.run().reused is None


def test_a_folder_of_ours_inside_the_suite_is_no_input(made: Suite) -> None:
    made.place = claim(made.folder / "kept") / "runs" / "a"
    made.run()
    assert made.run().reused


def test_a_result_that_is_gone_is_made_again(made: Suite) -> None:
    text = READS.replace('"ran.txt"', '"ran.txt"') + "\ndef test_made(pytestconfig):\n"
    text += "    folder = Path(pytestconfig.getoption('golden_output'))\n"
    text += "    (folder / 'made.txt').write_text('1')\n"
    (made.folder / "test_a.py").write_text(text)
    results = made.place / "results"
    options = {"makes": (results,), "options": (f"--golden-output={results}",)}
    made.place.parent.mkdir(parents=True)
    job = replace(made.job(), **options)  # type: ignore[arg-type]
    assert run_inner(job).exitstatus == 0
    assert run_inner(job).reused
    (results / "made.txt").unlink()
    assert run_inner(job).reused is None
    assert (results / "made.txt").exists()
    (results / "made.txt").write_text("22")
    assert run_inner(job).reused is None


def test_a_folder_that_was_given_counts(made: Suite, tmp_path: Path) -> None:
    given = tmp_path / "goldens"
    given.mkdir()
    (given / "a").write_text("1")
    made.run(given=(given,))
    assert made.run(given=(given,)).reused
    (given / "a").write_text("22")
    assert made.run(given=(given,)).reused is None


UNPROVEN = {
    "a process": "import subprocess\ndef test_a(): subprocess.run(['true'])\n",
    "a shell": "import os\ndef test_a(): os.system('true')\n",
    "a fork": "import os\ndef test_a():\n    pid = os.fork()\n    if not pid: os._exit(0)\n"
    "    os.waitpid(pid, 0)\n",
    "multiprocessing": "import multiprocessing\ndef test_a():\n"
    "    multiprocessing.get_context('spawn').Process(target=print).start()\n",
    "the network": "import socket\ndef test_a():\n    try:\n"
    "        socket.create_connection(('127.0.0.1', 9), 1)\n    except OSError: pass\n",
    "its own files, by C code": "import sqlite3\ndef test_a():\n"
    "    base = sqlite3.connect('base.db')\n    base.execute('create table if not exists a (b)')\n"
    "    base.execute('insert into a values (1)')\n    base.commit()\n",
    "a file it changes after it read it": "def test_a():\n    text = open('cfg.json').read()\n"
    "    open('cfg.json', 'w').write(text)\n",
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_what_cannot_be_proven_is_run_again(made: Suite, name: str) -> None:
    (made.folder / "test_a.py").write_text(UNPROVEN[name])
    made.run()
    assert made.run().reused is None


def test_uname_is_no_input(made: Suite) -> None:
    text = "import platform, subprocess\ndef test_a(): subprocess.run(['uname', '-p'])\n"
    (made.folder / "test_a.py").write_text(text)
    made.run()
    assert made.run().reused


def test_a_file_changed_by_another_while_it_runs_is_no_proof(made: Suite) -> None:
    text = (
        "import time\nfrom pathlib import Path\ndef test_a():\n    Path('started').touch()\n"
        "    while not Path('go').exists(): time.sleep(0.01)\n"
    )
    (made.folder / "test_a.py").write_text(text)
    done: list[InnerRun] = []
    thread = threading.Thread(target=lambda: done.append(run_inner(made.job())))
    thread.start()
    while not (made.folder / "started").exists():
        thread.join(0.02)
    (made.folder / "go").touch()
    thread.join()
    assert done[0].exitstatus == 0
    assert run_inner(made.job()).reused is None


def test_workers_testify_too(made: Suite) -> None:
    pytest.importorskip("xdist")
    text = "import pathlib\ndef test_a(): pathlib.Path('../outside/weights.txt').read_text()\n"
    (made.folder / "test_a.py").write_text(text)
    made.run("-p", "xdist", "-n1")
    assert made.run("-p", "xdist", "-n1").reused
    (made.outside / "weights.txt").write_text("333")
    assert made.run("-p", "xdist", "-n1").reused is None


def test_a_worker_that_died_testifies_nothing(made: Suite) -> None:
    pytest.importorskip("xdist")
    text = "import os\ndef test_a(): os._exit(1)\ndef test_b(): pass\n"
    (made.folder / "test_a.py").write_text(text)
    job = made.job("-p", "xdist", "-n1")
    assert run_inner(job).exitstatus == 1
    assert run_inner(job).reused is None


def test_damaged_evidence_is_none(made: Suite) -> None:
    made.run()
    (made.place / "evidence.json.gz").write_bytes(b"not gzip")
    assert made.run().reused is None


def test_hdf5_files_anywhere_count(made: Suite) -> None:
    h5py = pytest.importorskip("h5py")
    far = made.outside / "far"
    far.mkdir()
    with h5py.File(far / "data.bin5", "w") as file:
        file["a"] = 1
    text = (
        "import h5py\ndef test_a():\n    open('cfg.json').read()\n"
        f"    assert h5py.File({str(far / 'data.bin5')!r}, 'r')['a'][()] > 0\n"
    )
    (made.folder / "test_a.py").write_text(text)
    made.run()
    assert made.run().reused
    with h5py.File(far / "data.bin5", "a") as file:
        file["a"][()] = 2
    assert made.run().reused is None


def test_what_a_run_makes_and_reads_again_is_no_input(made: Suite) -> None:
    """By Python and by C code, in folders that it makes and, where h5py tells, elsewhere."""
    pytest.importorskip("h5py")
    text = (
        "import h5py, sqlite3\ndef test_a(tmp_path):\n"
        "    for place in (tmp_path / 'a.h5', 'b.h5'):\n"
        "        with h5py.File(place, 'w') as file: file['x'] = 1\n"
        "        assert h5py.File(place)['x'][()] == 1\n"
        "    base = sqlite3.connect(tmp_path / 'c.db')\n"
        "    base.execute('create table a (b)')\n"
        "    base.commit()\n"
        "    assert (tmp_path / 'c.db').read_bytes()\n"
    )
    (made.folder / "test_a.py").write_text(text)
    made.run()
    assert made.run().reused


def test_results_are_only_emptied_where_they_are_ours(made: Suite, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "golden").write_text("mine")
    with pytest.raises(ConfigError, match="nothing in it is touched"):
        run_inner(made.job(makes=(precious,)))
    assert (precious / "golden").read_text() == "mine"


HEARD = """
import json, os, shutil, sys
from pytest_keras_golden.versions.trace.listener import Listener
from pytest_keras_golden.io.ownership import claim
listener = Listener(())
listener.start()
os.chdir(sys.argv[1])
{body}
told = listener.finish().to_json()
print(json.dumps({{"files": {{p: s for p, s in told["files"].items() if p.startswith(sys.argv[1])}},
                  "written": [p for p in told["written"] if p.startswith(sys.argv[1])],
                  "unproven": told["unproven"]}}))
"""


def heard(folder: Path, body: str) -> tuple[dict[str, bool], set[str]]:
    """What a process read (name → whether it was there) and wrote in a folder."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", HEARD.format(body=body), str(folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["unproven"] is None
    base = len(str(folder)) + 1
    read = {path[base:]: found is not None for path, found in told["files"].items()}
    return read, {path[base:] for path in told["written"]}


@pytest.mark.parametrize(
    ("body", "read", "written"),
    [
        ("open('a').read()", {"a": True}, set()),
        ("open('a', 'w').close(); open('a').read()", {}, {"a"}),
        ("open('a', 'r+').close()", {"a": True}, {"a"}),
        ("os.close(os.open('a', os.O_RDONLY))", {"a": True}, set()),
        ("os.close(os.open(os.path.abspath('b'), os.O_WRONLY | os.O_CREAT))", {}, {"b"}),
        ("shutil.copyfile('a', 'b'); open('b').read()", {"a": True}, {"b"}),
        ("os.rename('a', 'b'); open('b').read()", {"a": True}, {"a", "b"}),
        ("os.link('a', 'b'); open('b').read()", {"a": True}, {"b"}),
        ("os.symlink('a', 'b'); open('b').read()", {"a": True}, {"b"}),
        ("os.remove('a')", {"a": True}, {"a"}),
        ("import sqlite3; sqlite3.connect(os.path.abspath('a')).close()", {"a": True}, set()),
        ("os.mkdir('d'); open('d/x', 'w').close(); shutil.rmtree('d')",
         {"d": False}, {"d", "d/x"}),
        ("import pathlib\npathlib.Path('d').mkdir(exist_ok=True)\n"
         "os.symlink('../a', 'd/link'); open('d/link').read()", {"a": True, "d": False},
         {"d", "d/link"}),
        ("import threading\nt = threading.Thread(target=lambda: open('a').read())\n"
         "t.start(); t.join()", {"a": True}, set()),
    ],
)  # fmt: skip
def test_what_is_heard(tmp_path: Path, body: str, read: dict[str, bool], written: set[str]) -> None:
    (tmp_path / "a").write_bytes(sqlite3.sqlite_version.encode() * 0)
    assert heard(tmp_path, body) == (read, written)


def test_a_listener_of_this_process_can_be_asked(tmp_path: Path) -> None:
    listener = Listener(())
    assert listener.finish().files
    assert "-p" in command(Job((Pin("a", "1", tmp_path),), (), (), tmp_path, tmp_path), tmp_path)


def test_a_module_that_was_read_elsewhere_is_seen(tmp_path: Path) -> None:
    site, vendored = tmp_path / "site-packages", tmp_path / "suite"
    for folder in (site, vendored):
        (folder / "optree").mkdir(parents=True)
        (folder / "optree" / "__init__.py").touch()

    def ran(*paths: Path) -> Path:
        seen = {str(path): list(state(str(path)) or ()) or None for path in paths}
        evidence.write(tmp_path, {"files": seen, "unproven": None}, {}, "salt")
        return tmp_path

    own, other = (folder / "optree" / "__init__.py" for folder in (site, vendored))
    # Looked for, and not there.
    assert not evidence.is_shadowed(ran(own, tmp_path / "optree.py"), {"optree": site})
    assert evidence.is_shadowed(ran(other), {"optree": site})
    assert not evidence.is_shadowed(ran(other), {"optre": site, "keras": site})
