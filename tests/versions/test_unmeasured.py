"""A gate and a matrix that cannot compare anything: what is known is in the files all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from suites import keras_golden, suite

pytestmark = pytest.mark.processes

SIDES = ("policy=float32", "policy=bfloat16")
FILES = ("--json", "g.json", "--markdown", "g.md", "--html", "g.html")
NUMPY = {"KERAS_BACKEND": "numpy"}

UNSEEN = """
import keras
import numpy as np


class Gather(keras.layers.Layer):
    def aggregate(self, x):
        return keras.ops.mean(keras.ops.exp(x), axis=0)


def test_aggregate():
    assert Gather().aggregate(np.ones((3, 2), "float32")).shape == (2,)


def test_without():
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suite(tmp_path / "suite", test_unseen=UNSEEN)


def test_a_gate_writes_the_kinds_of_what_was_not_looked_at(folder: Path) -> None:
    done = keras_golden(folder, "gate", *SIDES, *FILES, env=NUMPY)
    assert done.returncode == 2
    assert "no test calls a Keras model" in done.stderr
    found = json.loads((folder / "g.json").read_text())
    assert found["verdict"] == "nothing compared"
    assert "no test calls a Keras model" in found["problem"]
    assert [(test["nodeid"], test["unseen"]) for test in found["tests"]] == [
        ("test_unseen.py::test_aggregate", ["keras.ops"]),
        ("test_unseen.py::test_without", []),
    ]
    page = (folder / "g.md").read_text()
    assert "NOTHING COMPARED" in page
    assert "| `test_unseen.py::test_aggregate` | keras.ops |" in page
    assert "Name tests that do behind `--`, or look at" in page
    assert "no test calls a Keras model" in (folder / "g.html").read_text()


def test_a_matrix_writes_the_column_of_its_anchor(folder: Path) -> None:
    done = keras_golden(folder, "matrix", *SIDES, *FILES, env=NUMPY)
    assert done.returncode == 2
    found = json.loads((folder / "g.json").read_text())
    assert (found["verdict"], found["versions"]) == ("nothing compared", ["policy=float32"])
    assert [cell["unseen"] for cell in found["cells"]] == [["keras.ops"], []]
    page = (folder / "g.md").read_text()
    assert "policy=float32: NOTHING COMPARED. 2 tests × 1 version." in page
    assert "not looked at" in (folder / "g.html").read_text()


@pytest.mark.parametrize("name", ["nope/test_a.py", "test_unseen.py::test_nope"])
def test_what_is_not_there_is_named(folder: Path, name: str) -> None:
    done = keras_golden(folder, "gate", *SIDES, "--json", "-", "--", name, env=NUMPY)
    assert done.returncode == 2
    assert "pytest finds no such path or test: " in done.stderr
    assert f"{name}." in done.stderr
    assert "Keras model" not in done.stderr
    assert name in json.loads(done.stdout)["problem"]


@pytest.mark.parametrize("command", ["gate", "matrix"])
def test_a_side_that_cannot_be_had_is_told_in_every_file(folder: Path, command: str) -> None:
    done = keras_golden(folder, command, "nonsense=1", "policy=bfloat16", *FILES, env=NUMPY)
    assert done.returncode == 2
    assert "nonsense= is no switch" in done.stderr
    found = json.loads((folder / "g.json").read_text())
    assert found["verdict"] == "nothing compared"
    assert "nonsense= is no switch" in found["problem"]
    for name in ("g.md", "g.html"):
        page = (folder / name).read_text()
        assert "NOTHING COMPARED" in page
        assert "nonsense=1" in page


def test_what_pytest_refuses_is_told_with_what_to_correct(folder: Path) -> None:
    done = keras_golden(folder, "gate", *SIDES, "--", "--golden-select=atention", env=NUMPY)
    assert done.returncode == 2
    assert "golden_select: 'atention' is no group\nDid you mean 'attention'?" in done.stderr
    assert "Correct what pytest refuses: behind `--`" in done.stderr
    assert "Make the suite pass" not in done.stderr
    done = keras_golden(folder, "gate", *SIDES, "--", "--golden-selct=all", env=NUMPY)
    assert done.returncode == 2
    assert "code 4: ERROR: unrecognized arguments: --golden-selct=all\n" in done.stderr
    assert "did you mean: --golden-select for --golden-selct" in done.stderr


def test_a_path_without_a_test_says_what_can_be_named(folder: Path) -> None:
    (folder / "export").mkdir()
    (folder / "export" / "saved_model.pb").touch()
    done = keras_golden(folder, "gate", *SIDES, "--", "export/saved_model.pb", env=NUMPY)
    assert done.returncode == 2
    assert "pytest finds no test in " in done.stderr
    assert "of an export, the model that was exported" in done.stderr
