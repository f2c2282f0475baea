"""`keras-golden` as a program: exit codes, help, light start, interruption, closed pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
