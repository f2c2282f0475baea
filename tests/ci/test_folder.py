"""What a job leaves to be kept, and that a page that cannot be drawn costs no judgement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from suites import environment
from test_lockfile import commit, git, write

from pytest_keras_golden.ci import folder as kept
from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.io.ownership import claim

WITHOUT_JINJA2 = """
import sys
sys.modules["jinja2"] = None
from pytest_keras_golden.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""As `pip install pytest-keras-golden[versions]` leaves it."""


@pytest.mark.processes
def test_without_jinja2_there_is_markdown_instead_of_html(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    write(project, **{"requirements.txt": "keras==3.5.0\n"})
    base = commit(project)
    write(project, **{"requirements.txt": "# pinned\nkeras==3.5.0\n"})
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JINJA2, "ci", "--base", base, "--", "tests/"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "jinja2" in line]
    assert said.startswith("no gate.html: an HTML report needs jinja2; comment.md says the same.")
    assert said.endswith("Run: pip install 'pytest-keras-golden[report]'")
    left = {path.name for path in (project / "keras-golden-ci").iterdir()}
    assert {"comment.md", "gate.json"} <= left
    assert "gate.html" not in left
    assert git(project, "status", "--porcelain") == "M requirements.txt"


def test_a_folder_is_emptied_and_never_committed(tmp_path: Path) -> None:
    folder = kept.opened(tmp_path / "ci")
    (folder / "old.md").write_text("old")
    assert (kept.opened(folder) / ".gitignore").read_text() == "*\n"
    assert not (folder / "old.md").exists()


def pair(run: Path, name: str, size: int = 8) -> tuple[str, str]:
    """A golden and a candidate as a run leaves them."""
    made = []
    for part in ("goldens", "candidates"):
        path = claim(run / part) / "test_a" / name / "keras.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size)
        made.append(str(path))
    return made[0], made[1]


def test_goldens_and_candidates_lie_beside_each_other(tmp_path: Path) -> None:
    folder = kept.opened(tmp_path / "ci")
    pairs = [pair(tmp_path / "run", "test_1"), (None, None), (str(tmp_path / "gone"), None)]
    assert kept.keep(pairs, folder) == 0
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.safetensors"))
    assert found == [
        "candidates/test_a/test_1/keras.safetensors",
        "goldens/test_a/test_1/keras.safetensors",
    ]


def test_what_there_is_no_room_for_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 40)
    folder = kept.opened(tmp_path / "ci")
    sizes = {"test_1": 8, "test_2": 30, "test_3": 8}
    pairs = [pair(tmp_path / "run", name, size) for name, size in sizes.items()]
    assert kept.keep(pairs, folder) == 1
    assert not (folder / "goldens/test_a/test_2").exists()
    assert (folder / "candidates/test_a/test_3/keras.safetensors").exists()


def test_what_a_job_left_is_read_again(tmp_path: Path) -> None:
    request = kept.Posting(7, "uv.lock jax", "jax", renews=True)
    (tmp_path / kept.REQUEST).write_text(request.text())
    (tmp_path / kept.COMMENT).write_text("text")
    assert kept.comment_in(tmp_path) == (request, "text")


@pytest.mark.parametrize(
    "left",
    [
        {},
        {"pull_request": "7", "name": "x"},
        {"pull_request": 7, "name": None},
        {"pull_request": True, "name": "x"},
        {"pull_request": 7, "name": "x", "backend": 1},
        {"pull_request": 7, "name": None, "renews": "yes"},
    ],
    ids=str,
)
def test_what_names_no_pull_request_is_refused(tmp_path: Path, left: dict[str, object]) -> None:
    (tmp_path / kept.REQUEST).write_text(json.dumps(left))
    (tmp_path / kept.COMMENT).write_text("text")
    with pytest.raises(ConfigError, match="names no pull request"):
        kept.comment_in(tmp_path)
