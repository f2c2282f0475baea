"""The short form of benchmarks/fuzz.py, and its control."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def fuzz(*arguments):
    """Exit code, figures, and what was found."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks" / "fuzz.py", "--jobs", "2", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.processes
def test_strangers_goldens_and_logs_crash_nothing_and_pass_nothing():
    code, found, told = fuzz("600", "--logs", "150")
    assert code == 0, told
    assert (found["golden"], found["log"]) == (600, 150)
    assert min(found["golden_read"], found["judged"], found["log_read"]) > 30
    assert (found["crashes"], found["false_passes"], found["slow"]) == (0, 0, 0)
    assert found["longest_message"] <= 2000


@pytest.mark.processes
def test_a_reader_that_believes_every_byte_lets_something_pass():
    code, found, _ = fuzz("200", "--logs", "0", "--control")
    assert code == 1
    assert found["false_passes"] > 0
