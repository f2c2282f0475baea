"""Calls that automatic capture left alone: no command says that there were none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from suites import keras_golden, suite

pytestmark = pytest.mark.processes

SIDES = ("policy=float32", "policy=bfloat16")
FILES = ("--json", "g.json", "--markdown", "g.md", "--html", "g.html")
NUMPY = {"KERAS_BACKEND": "numpy"}

TESTS = """
import keras
import numpy as np


def dense(name):
    keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(2.0, name=name)])(
        np.ones((2, 3), "float32")
    )


def test_taken():
    dense("scale")
    keras.losses.MeanSquaredError()(np.ones(3), np.ones(3))


def test_left():
    dense("other")


def test_plain():
    pass
"""

REASON = "select '*scale*' matches no tensor of the block"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suite(tmp_path / "suite", test_it=TESTS)


def test_a_gate_that_holds_names_what_it_left_alone(folder: Path) -> None:
    sides = ("env.SIDE=1", "env.SIDE=2")
    done = keras_golden(folder, "gate", *sides, *FILES, "--", "--golden-select=*scale*", env=NUMPY)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "1 test without a call of a Keras model" in said
    assert "1 test with Keras in ways that are not looked at (listed above)" in said
    assert "1 compared test also made calls that are not looked at (losses 1)" in said
    assert "not looked at (calls that could not be captured 1)" in said
    for page in ("g.md", "g.html"):
        assert REASON in (folder / page).read_text().replace("\\", "").replace("\\u0027", "'")
    assert json.loads((folder / "g.json").read_text())["not_looked_at"] == 1


@pytest.mark.parametrize("command", ["gate", "matrix"])
def test_where_every_call_was_left_alone_that_is_the_reason(folder: Path, command: str) -> None:
    done = keras_golden(folder, command, *SIDES, "--", "--golden-select=nosuch*", env=NUMPY)
    assert done.returncode == 2
    assert "no call of a Keras model could be captured" in done.stderr
    assert "test_it.py::test_" in done.stderr
    assert "select 'nosuch*' matches no tensor" in done.stderr
    assert "no test calls a Keras model" not in done.stderr
