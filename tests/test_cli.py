"""`keras-golden` as a program: exit codes, help, light start, interruption, closed pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_keras_golden.names import Slot
from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.files import save

PROGRAM = [sys.executable, "-m", "pytest_keras_golden.cli"]
COMMANDS = ("show", "diff", "list", "stats", "prune", "verify", "accept", "report")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_help_names_every_command_and_the_exit_codes() -> None:
    out = run("--help").stdout
    assert all(f"    {command} " in out for command in COMMANDS)
    assert "130 interrupted" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "usage: keras-golden" in done.stdout


def test_version_and_usage() -> None:
    assert run("--version").stdout.startswith("keras-golden 0.")
    for wrong in ([], ["nonsense"], ["diff", "one"]):
        assert run(*wrong).returncode == 2


def test_deliberate_errors_are_code_2_without_a_traceback(tmp_path: Path) -> None:
    done = run("show", "absent.safetensors", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("keras-golden: absent.safetensors")
    assert "Traceback" not in done.stderr


def test_interruption_is_code_130() -> None:
    code = """
import os, signal, sys
from pytest_keras_golden import cli
from pytest_keras_golden.commands import stats
stats.goldens_dir = lambda _: os.kill(os.getpid(), signal.SIGINT)
sys.exit(cli.main(["stats"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "goldens").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "list"], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.fixture
def badly_named(tmp_path: Path) -> Path:
    """A project whose goldens lie below a folder that is named in another encoding."""
    folder = tmp_path / "goldens" / os.fsdecode(b"test_\xe9\xff") / "test_\u00e9"
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    array = np.arange(4, dtype=np.float32)
    entry = TensorEntry(
        *("x", 0, "tensor", "float32", (4,), "float32", True, "materialised"),
        digest=digest(array),
        rms=1.0,
    )
    stack = {"keras": "3.5.0", "backend": "jax", "device": "cpu", "dtype_policy": "float32"}
    made = Recording(GoldenHeader(stack, "eager", (entry,)), (TensorRecord("x", array),))
    for version in ("3.5.0", "3.6.0"):
        stack["keras"] = version
        save(folder / Slot(version, "jax", "cpu", "float32").filename, made, tmp_path / "locks")
    log = log_json(0, stack, [TestOutcome("test_é.py::test_→", "recorded", written=True)])
    (tmp_path / "log.json").write_text(json.dumps(log))
    return folder


def commands(folder: Path) -> list[list[str]]:
    one, two = sorted(map(str, folder.iterdir()))
    return [
        *(["list"], ["stats"], ["verify"], ["prune", "--keep", "1"], ["list", "--json", "-"]),
        *(["show", one], ["show", one, "--json", "-"], ["diff", one, two]),
        *(["diff", one, two, "--json", "-"], ["report", "log.json"]),
    ]


@pytest.mark.processes
@pytest.mark.parametrize("coding", ["ascii", "latin-1", "utf-8"])
def test_no_stream_and_no_name_is_too_narrow(badly_named: Path, coding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": coding}
    for command in commands(badly_named):
        done = subprocess.run(
            [*PROGRAM, *command],
            capture_output=True,
            cwd=badly_named.parents[2],
            env=environment,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), command
        if "-" in command:
            assert json.loads(done.stdout)
        else:
            assert len(done.stdout) > 10


def shell(line: str, folder: Path) -> int:
    return subprocess.run(["sh", "-c", line], cwd=folder, check=False).returncode


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_verdict(badly_named: Path, closed: str) -> None:
    program, folder = " ".join(PROGRAM), badly_named.parents[2]
    assert shell(f"{program} verify {closed}", folder) == 0
    next(iter(badly_named.iterdir())).write_bytes(b"damaged")
    assert shell(f"{program} verify {closed}", folder) == 1
    assert shell(f"{program} show absent {closed}", folder) == 2


def test_a_reader_that_stops_changes_no_verdict(badly_named: Path) -> None:
    program, folder = " ".join(PROGRAM), badly_named.parents[2]
    next(iter(badly_named.iterdir())).write_bytes(b"damaged")
    # The program starts only when nobody reads any more.
    line = f"( sleep 1; {program} verify; echo $? > code ) | true"
    shell(line, folder)
    assert (folder / "code").read_text() == "1\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_standard_output_is_an_error(badly_named: Path) -> None:
    for command in ("verify", "list --json -"):
        line = f"{' '.join(PROGRAM)} {command} > /dev/full"
        done = subprocess.run(
            ["sh", "-c", line], cwd=badly_named.parents[2], capture_output=True, check=False
        )
        assert done.returncode == 2
        assert b"cannot write to standard output: No space left on device" in done.stderr
        assert b"Exception ignored" not in done.stderr


UNEXPECTED = """
import sys
from pytest_keras_golden import cli
from pytest_keras_golden.commands import stats
def fall(_):
    raise {error}
stats.goldens_dir = fall
sys.exit(cli.main(["stats"]))
"""


@pytest.mark.parametrize(
    "error",
    ["RuntimeError('x' * 10**7)", "RecursionError()", "MemoryError()", "AssertionError('a\\nb')"],
)
def test_an_unexpected_error_is_no_verdict(error: str) -> None:
    command = [sys.executable, "-c", UNEXPECTED.format(error=error)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"unexpected {error.partition('(')[0]}" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 2000
    asked = {**os.environ, "KERAS_GOLDEN_TRACEBACK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=asked)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_an_output_that_cannot_be_written_is_named(badly_named: Path) -> None:
    done = run("list", "--json", "goldens", cwd=badly_named.parents[2])
    assert done.returncode == 2
    assert "cannot write goldens: Is a directory" in done.stderr
    assert "--json=FILE" in done.stderr
