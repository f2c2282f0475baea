"""Every way to train that Keras has: looked into, and left bit for bit as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from backends import TRAINING

pytestmark = [pytest.mark.processes, pytest.mark.slow]

CASE = Path(__file__).with_name("options_case.py")
JITTED = 13
"""Ways of which jax compiles the steps, so that they run twice."""

ONE_BIT = {"tensorflow": "clipping"}
"""XLA fuses otherwise, in a program of TensorFlow that cannot run twice: training.md says so."""


@pytest.mark.parametrize("backend", TRAINING)
def test_a_way_to_train_is_looked_into(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    done = subprocess.run([sys.executable, str(CASE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == (14 if backend == "torch" else 15)
    bad = [line for line in lines if ": 0 differ, history True, missing [], " not in line]
    assert {line.partition(":")[0] for line in bad} <= {ONE_BIT.get(backend)}, bad
    observed = [line.rpartition(", ")[2] for line in lines]
    assert observed.count("identical") == (JITTED if backend == "jax" else 0)
    assert "changed" not in observed
