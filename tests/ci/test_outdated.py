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


def test_what_a_fork_leaves_renews_and_never_writes(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert main(["ci", "--", "tests/"]) == 0
    left = Path("keras-golden-ci")
    assert "No lock file differs" in (left / "comment.md").read_text()
    assert service.bodies[0].endswith("moved")

    service.head = "b" * 40
    event = {"workflow_run": {"head_sha": service.head}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    # Another job, without a backend of its own, posts.
    monkeypatch.delenv("KERAS_BACKEND")
    assert main(["ci", "--post", str(left)]) == 0
    mine, *others = service.bodies
    assert "No lock file differs" in mine
    assert all(body.endswith("moved") for body in others)
    service.comments.clear()
    assert main(["ci", "--post", str(left)]) == 0
    assert service.bodies == []


def test_what_could_not_be_judged_is_in_the_summary_and_the_folder(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    write(Path(), **{"requirements.txt": "keras==\n"})
    commit(Path())
    assert main(["ci", "--", "tests/"]) == 2
    said = (Path("keras-golden-ci") / "comment.md").read_text()
    assert said.startswith("**Not judged.** ")
    assert (tmp_path / "summary.md").read_text().strip() == said.strip()
    request = json.loads((Path("keras-golden-ci") / "pull-request.json").read_text())
    assert request == {
        "pull_request": 7,
        "name": "requirements.txt jax",
        "backend": "jax",
        "renews": True,
    }


@pytest.mark.parametrize("answer", [{}, [None], "x"], ids=str)
def test_a_service_that_answers_otherwise_decides_nothing(
    service: Service, answer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answer = lambda *_: (200, answer)  # type: ignore[method-assign]
    assert main(["ci", "--", "tests/"]) == 0
    assert "no comment: the service answered with" in capsys.readouterr().err
