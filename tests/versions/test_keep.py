"""`--keep DIR` end to end: whose folder it may be, and when a finished run in it still counts."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from suites import keras_golden, suite

SCALED = """
import json
import keras
import numpy as np


def test_scaled():
    new = keras.__version__ > "3.10.9"
    scale = json.load(open("cfg.json"))["scale"] if new else 1.0
    keras.layers.Rescaling(scale)(np.ones((4, 8), "float32"))
"""
VERSIONS = ("gate", "3.10.0", "3.15.1")
NUMPY = {"KERAS_BACKEND": "numpy"}


def listing(folder: Path) -> dict[str, str]:
    return {str(p): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = suite(tmp_path / "suite", test_scaled=SCALED)
    (made / "cfg.json").write_text('{"scale": 1.0}')
    return made


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--", "--update-goldens"),
        ("--executor", "ray://x"),
        ("--json", "nowhere/gate.json"),
        ("--with", "jax"),
    ],
)
def test_a_folder_of_the_user_is_refused_and_nothing_touched(
    folder: Path, more: tuple[str, ...]
) -> None:
    for name in ("goldens", "weights", "runs"):
        (folder / name).mkdir()
        (folder / name / "precious").write_text("mine")
    before = listing(folder)
    done = keras_golden(folder, *VERSIONS, "--keep", ".", *more, env=NUMPY)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    if not more:
        assert "nothing in it is touched" in done.stderr
    assert listing(folder) == before


@pytest.mark.parametrize("command", ["gate", "matrix", "bisect"])
@pytest.mark.parametrize("more", [("--executor", "ray://x"), ("--", "--update-goldens")])
def test_nothing_is_made_before_the_arguments_are_checked(
    folder: Path, command: str, more: tuple[str, ...]
) -> None:
    kept = folder.parent / "kept"
    done = keras_golden(folder, command, "3.10.0", "3.15.1", "--keep", str(kept), *more, env=NUMPY)
    assert (done.returncode, kept.exists()) == (2, False)


def gated(folder: Path) -> tuple[subprocess.CompletedProcess[str], Any]:
    (folder.parent / "gate.md").unlink(missing_ok=True)
    files = ("--json", "gate.json", "--markdown", "../gate.md", "--html", "gate.html")
    done = keras_golden(folder, *VERSIONS, "--keep", "kept", *files, env=NUMPY)
    return done, json.loads((folder / "gate.json").read_text())


@pytest.mark.overlay
def test_a_finished_gate_answers_from_the_past_only_where_nothing_changed(folder: Path) -> None:
    first, document = gated(folder)
    assert (first.returncode, document["verdict"], document["reused"]) == (0, "holds", {})
    again, document = gated(folder)
    assert (again.returncode, document["verdict"]) == (0, "holds")
    assert set(document["reused"]) == {"old", "new"}
    said = f"taken from the run of {document['reused']['old']}: keras 3.10.0"
    pages = [(folder.parent / "gate.md"), (folder / "gate.html")]
    for text in (again.stdout, again.stderr, *(page.read_text("utf-8") for page in pages)):
        assert "taken from the run of 20" in text
    assert said in again.stdout
    (folder / "cfg.json").write_text('{"scale": 2.0}')
    changed, document = gated(folder)
    assert (changed.returncode, document["verdict"], document["reused"]) == (1, "drift", {})
    assert "taken from" not in changed.stdout


def test_a_recording_serves_new_sides_that_change_other_packages(folder: Path) -> None:
    """Which packages are proven depends on the other side; what was recorded does not."""
    place = folder.parent / "kept"

    def gate(old: str, new: str) -> list[str]:
        files = ("--keep", str(place), "--json", str(folder.parent / "gate.json"))
        done = keras_golden(folder, "gate", old, new, *files, env=NUMPY)
        assert done.returncode == 0, done.stderr
        return list(json.loads((folder.parent / "gate.json").read_text())["reused"])

    own = metadata.version("optree")
    assert gate("3.15.1", "3.15.0") == []
    assert gate("3.15.1", "3.15.0,optree==0.17.0") == ["old"]
    assert gate(f"3.15.1,optree=={own}", "3.15.0,optree==0.18.0") == ["old"]
    # Another stack is another recording.
    assert gate("3.15.1,optree==0.17.0", "3.15.0") == []
