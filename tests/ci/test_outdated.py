"""What a comment says of an earlier commit does not stay where nothing of it holds any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import Service, serving
from test_lockfile import commit, git, write

from pytest_keras_golden.ci.comments import GitHub, marker, post
from pytest_keras_golden.cli import main


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Of a pull request in whose repository we are; earlier jobs have left three comments."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write(folder, **{"uv.lock": "0", "requirements.txt": "keras==3.5.0\n"})
    base = commit(folder)
    monkeypatch.chdir(folder)
    event = {"pull_request": {"number": 7, "base": {"sha": base}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    with serving() as running:
        for name, value in {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": running.url,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_TOKEN": "t",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "KERAS_BACKEND": "jax",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        place = GitHub(running.url, "o/r", 7, "t")
        for name in ("requirements.txt jax", "requirements.txt torch", "latest"):
            post(place, name, "moved")
        yield running


def test_where_no_lock_moves_any_more(service: Service, tmp_path: Path) -> None:
    assert main(["ci", "--", "tests/"]) == 0
    mine, *others = service.bodies
    assert mine.startswith(f"{marker('requirements.txt jax')}\n")
    assert "No lock file differs" in mine
    assert all(body.endswith("moved") for body in others)


def test_where_a_run_cannot_judge(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path(), **{"requirements.txt": "keras==\n"})
    commit(Path())
    assert main(["ci", "--", "tests/"]) == 2
    mine, *others = service.bodies
    assert "Not judged." in mine
    assert "moved" not in mine
    assert all(body.endswith("moved") for body in others)


def test_no_comment_is_written_for_it(service: Service) -> None:
    service.comments.clear()
    assert main(["ci", "--", "tests/"]) == 0
    assert service.bodies == []
