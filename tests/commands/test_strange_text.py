"""Names of strangers reach no terminal alive, by whatever command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from strangers import controls

from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.files import save

PROGRAM = (sys.executable, "-m", "pytest_keras_golden.cli")
HOSTILE = "a\x1b[31mred\u202etxt"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A goldens folder with a golden of a test of an odd name, damaged, and a log that names it."""
    value = np.ones(4, "float32")
    entry = TensorEntry(
        *("a", 0, "tensor", "float32", (4,), "float32", True, "materialised"),
        digest=digest(value), rms=1.0,
    )  # fmt: skip
    header = GoldenHeader(
        stack={"keras": "3.5.0", "backend": "numpy"},
        mode="eager",
        tensors=(entry,),
        reason="a\u202etxt",
    )
    folder = tmp_path / "goldens" / "test_a" / HOSTILE
    path = folder / "keras-3.5.0-numpy-cpu-float32.safetensors"
    save(path, Recording(header, (TensorRecord("a", value),)), tmp_path / "locks")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    odd = TestOutcome(f"test_a.py::{HOSTILE}", "failed", reason=HOSTILE)
    (tmp_path / "log.json").write_text(json.dumps(log_json(1, {}, [odd])))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["stats"],
        ["verify"],
        ["prune", "--oversized", "1"],
        ["show", "GOLDEN"],
        ["diff", "GOLDEN", "GOLDEN"],
        ["report", "log.json"],
        ["accept", "log.json", "--tests", HOSTILE],
        ["show", HOSTILE],
        ["report", HOSTILE],
        ["gate", HOSTILE, "3.5.0"],
        ["gate", "3.5.0", "3.6.0", "--with", HOSTILE],
    ],
)
def test_no_command_passes_a_control_on(place: Path, arguments: list[str]) -> None:
    (golden,) = place.rglob("*.safetensors")
    given = [str(golden) if text == "GOLDEN" else text for text in arguments]
    done = subprocess.run(
        [*PROGRAM, *given], cwd=place, capture_output=True, text=True, encoding="utf-8"
    )
    assert set(controls(done.stdout + done.stderr)) <= {"\n"}
    assert "Traceback" not in done.stderr
    assert done.stdout or done.stderr
