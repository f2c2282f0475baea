"""`keras-golden accept-drift`: from a red gate's JSON to an entry, and to a gate that holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_keras_golden.versions.accepted import load

PROGRAM = [sys.executable, "-m", "pytest_keras_golden.cli"]
LAYER = {"name": "functional/norm", "order": 0, "verdict": "drift", "precision": "bfloat16",
         "k": 20.0, "rel_l2": 0.008, "cause": "precision"}  # fmt: skip


def gated(nodeid: str, status: str = "moved", **changed: Any) -> dict[str, Any]:
    row = {
        "nodeid": nodeid, "status": status, "first_drift": "functional",
        "local_drift": ["functional/norm"], "locals": [LAYER],
        "tensors": {"functional": "drift", "other": "identical"},
        "numbers": {"functional": {"k": 9.0, "rel_l2": 0.004, "tolerance": {"k": 5.0}},
                    "other": {"k": 0.0, "rel_l2": 0.0}},
    }  # fmt: skip
    return row | changed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    document = {
        "schema": 1, "verdict": "drift",
        "changes": [{"name": "keras", "old": "3.5.0", "new": "3.6.0"}],
        "tests": [gated("t.py::test_b"), gated("t.py::test_a"), gated("t.py::test_c", "holds")],
    }  # fmt: skip
    (tmp_path / "gate.json").write_text(json.dumps(document))
    return tmp_path


def rewritten(project: Path, **changed: Any) -> None:
    path = project / "gate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def accept(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = ("accept-drift", "gate.json", "--layer", "functional/norm", "--reason", "better")
    return subprocess.run(
        [*PROGRAM, *given, *arguments], cwd=project, capture_output=True, text=True, check=False
    )


def test_what_became_nan_is_accepted_by_its_count_and_not_by_its_size(project: Path) -> None:
    note = "256 elements became or ceased to be NaN or Inf, first [0, 0]"
    nan = {**LAYER, "verdict": "nonfinite", "cause": None, "k": 0.0, "rel_l2": 0.0, "note": note}
    rewritten(project, tests=[gated("t.py::test_a", locals=[nan])])
    done = accept(project)
    assert f"accepted: functional/norm in 1 test, {note}" in done.stdout, done.stderr
    (entry,) = load(project / "golden_accepted.toml")
    assert entry.note == note


def test_an_entry_says_what_the_gate_measured(project: Path) -> None:
    done = accept(project)
    assert done.returncode == 0, done.stderr
    assert "accepted: functional/norm in 2 tests, up to 1.2 %" in done.stdout
    (entry,) = load(project / "golden_accepted.toml")
    assert [(c.name, c.old, c.new) for c in entry.changes] == [("keras", "3.5.0", "3.6.0")]
    assert entry.tests == ("t.py::test_a", "t.py::test_b")
    assert (entry.verdict, entry.cause, entry.reason) == ("drift", "precision", "better")
    sizes = entry.at_most
    assert (sizes.own_k, sizes.own_rel_l2, sizes.k, sizes.rel_l2) == (30.0, 0.012, 13.5, 0.006)


def test_what_a_user_wrote_stays_to_the_letter(project: Path) -> None:
    path = project / "golden_accepted.toml"
    path.write_text("# mine: äöü")
    assert accept(project).returncode == 0
    assert path.read_text().startswith("# mine: äöü\n\n[[accepted]]")
    before = path.read_text()
    again = accept(project, "--reason", "other words")
    assert "accepted already" in again.stdout
    assert path.read_text() == before
    assert accept(project, "--room", "2").returncode == 0
    assert path.read_text().startswith(before)
    assert len(load(path)) == 2


def test_one_test_another_room_and_another_file(project: Path) -> None:
    more = ("--test", "t.py::test_b", "--room", "1", "--accepted", "here.toml")
    assert accept(project, *more).returncode == 0
    (entry,) = load(project / "here.toml")
    assert (entry.tests, entry.at_most.own_k) == (("t.py::test_b",), 20.0)
    assert not (project / "golden_accepted.toml").exists()


def test_it_lies_beside_the_goldens(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\ngoldens_dir = tests/data/goldens\n")
    assert accept(project).returncode == 0
    assert len(load(project / "tests" / "data" / "golden_accepted.toml")) == 1


def test_of_several_changes_the_culprit_is_meant(project: Path) -> None:
    jax, keras = {"name": "jax", "old": "1", "new": "2"}, {"name": "keras", "old": "1", "new": "2"}
    rewritten(project, changes=[jax, keras], culprit=[jax])
    assert accept(project).returncode == 0
    rewritten(project, culprit=None)
    assert accept(project, "--change", "keras").returncode == 0
    assert accept(project).returncode == 0
    entries = load(project / "golden_accepted.toml")
    assert [[c.name for c in entry.changes] for entry in entries] == [
        ["jax"], ["keras"], ["jax", "keras"],
    ]  # fmt: skip


def test_layers_that_moved_otherwise_get_entries_of_their_own(project: Path) -> None:
    other = gated("t.py::test_d", locals=[LAYER | {"cause": "meaning"}])
    rewritten(project, tests=[gated("t.py::test_a"), other])
    assert accept(project).returncode == 0
    causes = [(entry.cause, entry.tests) for entry in load(project / "golden_accepted.toml")]
    assert causes == [("precision", ("t.py::test_a",)), ("meaning", ("t.py::test_d",))]


@pytest.mark.parametrize(
    ("arguments", "changed", "said"),
    [
        (("--layer", "nothing"), {}, "No test that moved blames nothing.\nName one of: functional"),
        (("--test", "t.py::test_c"), {}, "No test that moved blames functional/norm"),
        (("--reason", " "), {}, "argument --reason: empty: give it a value"),
        (("--room", "0.5"), {}, "expected a number of at least 1"),
        (("--change", "jax"), {}, "jax is no change of this gate.\nName one of: keras."),
        ((), {"schema": 2}, "gate.json: is no result of a gate"),
        ((), {"changes": []}, "The gate's sides do not differ"),
        ((), {"tests": [{"nodeid": "t"}]}, "gate.json: tests[0] has no 'status'"),
        ((), {"tests": [gated("t", locals=[LAYER | {"k": "inf"}])]}, "moved without a bound"),
        ((), {"tests": [gated("t", locals=[LAYER | {"rel_l2": "nan"}])]}, "moved without a bound"),
    ],
)
def test_bad_input_is_code_2_and_writes_nothing(
    project: Path, arguments: tuple[str, ...], changed: dict[str, Any], said: str
) -> None:
    rewritten(project, **changed)
    done = accept(project, *arguments)
    assert done.returncode == 2
    assert " ".join(said.split()) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (project / "golden_accepted.toml").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "[[accepted]]\n"])
def test_files_that_are_none(project: Path, text: str) -> None:
    (project / "gate.json").write_text(text)
    assert accept(project).returncode == 2
    (project / "gate.json").unlink()
    assert "cannot be read: No such file" in accept(project).stderr


def test_a_broken_file_is_not_appended_to(project: Path) -> None:
    path = project / "golden_accepted.toml"
    path.write_text("[[accepted]]\nlayer = 3\n")
    done = accept(project)
    assert done.returncode == 2
    assert "golden_accepted.toml: accepted[0]" in done.stderr
    assert path.read_text() == "[[accepted]]\nlayer = 3\n"
