"""Seeds under a release whose `set_random_seed` leaves the generator of `keras.random` alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

SUITE = """
import keras

def test_first(golden_tensors):
    golden_tensors.check("noise", keras.random.normal((8,)))

def test_second(golden_tensors):
    golden_tensors.check("noise", keras.random.normal((8,)))
"""


@pytest.mark.overlay
def test_draws_of_one_test_depend_on_no_other(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_noise.py").write_text(SUITE)
    environment = overlay_environment([ensure_overlay("keras", "3.5.0")])
    environment = {**environment, "KERAS_BACKEND": os.environ["KERAS_BACKEND"]}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert "2 golden tests: 2 recorded" in run("--update-goldens")
    assert "1 golden test: 1 identical" in run("-k", "second")
