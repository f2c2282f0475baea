"""The composite action's own steps, in a shell, over a real bump, with a fake event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import Service, serving
from suites import NORM, environment, suite
from test_lockfile import commit, git

yaml = pytest.importorskip("yaml")
pytestmark = [pytest.mark.overlay, pytest.mark.processes]

ACTION = yaml.safe_load((Path(__file__).parents[2] / "action.yml").read_text(encoding="utf-8"))
MARKER = "<!-- keras-golden requirements.txt jax -->"


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose newest commit bumps Keras."""
    folder = suite(tmp_path / "project", test_norm=NORM)
    git(folder, "init", "-q", "-b", "main")
    (folder / "requirements.txt").write_text("keras==3.5.0\n")
    commit(folder)
    (folder / "requirements.txt").write_text("keras==3.6.0\n")
    commit(folder)
    return folder


class Job:
    """A GitHub job: its variables, and the action's step that gates."""

    def __init__(self, project: Path, service: Service) -> None:
        self.project, self.files = project, project.parent
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = environment(
            PATH=programs,
            GITHUB_ACTIONS="true",
            GITHUB_API_URL=service.url,
            GITHUB_REPOSITORY="o/r",
            GITHUB_TOKEN="t",
            GITHUB_STEP_SUMMARY=str(self.files / "summary.md"),
        )

    def event(self, event: dict[str, Any]) -> None:
        path = self.files / "event.json"
        path.write_text(json.dumps(event))
        self.environment["GITHUB_EVENT_PATH"] = str(path)

    def gate(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        given = {name: spec["default"] for name, spec in ACTION["inputs"].items()} | inputs
        (step,) = [step for step in ACTION["runs"]["steps"] if step.get("name") == "Gate"]
        own = {
            name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
            for name, value in step["env"].items()
            if "inputs." in value
        }
        return self.shell(step["run"], **own)

    def shell(self, script: str, **own: str) -> subprocess.CompletedProcess[str]:
        # As the runner calls `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.environment | own,
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout, done.stderr)
        return done


def test_a_bump_of_a_fork_is_gated_told_and_posted_afterwards(
    project: Path, service: Service
) -> None:
    job = Job(project, service)
    base, head = git(project, "rev-parse", "HEAD~1"), git(project, "rev-parse", "HEAD")
    job.event({"pull_request": {"number": 7, "base": {"sha": base}}})
    service.refuses = 403
    done = job.gate(tests="test_norm.py")
    assert done.returncode == 1
    assert "no comment:" in done.stderr
    assert "403" in done.stderr
    output = project / "keras-golden-ci"
    page = (output / "comment.md").read_text(encoding="utf-8")
    assert "DRIFT" in page
    assert "norm" in page
    assert (job.files / "summary.md").read_text(encoding="utf-8").strip() == page.strip()
    assert json.loads((output / "gate.json").read_text())["verdict"] == "drift"
    assert (output / "gate.html").stat().st_size > 1000
    assert page.startswith("### ❌ keras 3.5.0 → 3.6.0, from ")
    # Whole only where a command is to be copied.
    told, _, commands = page.partition("#### What to run next")
    assert base not in told
    assert base in commands
    for part in ("goldens", "candidates"):
        (kept,) = (output / part).rglob("*.safetensors")
        assert kept.parent.relative_to(output / part).as_posix() == "test_norm/test_norm"
    assert "keras-golden-ci" not in git(project, "status", "--porcelain")

    # The job that may write: its event has the commit that was run, the files are a stranger's.
    service.refuses, service.head = None, head
    job.event({"workflow_run": {"head_sha": head}})
    assert job.shell("keras-golden ci --post keras-golden-ci").returncode == 0
    assert service.bodies == [f"{MARKER}\n{page}"]
    service.head = "f" * 40
    refused = job.shell("keras-golden ci --post keras-golden-ci")
    assert refused.returncode == 2
    assert "another commit" in refused.stderr

    # A change without a lock file: nothing is run, and nothing is said about numbers.
    job.event({"pull_request": {"number": 7, "base": {"sha": head}}})
    quiet = job.gate(tests="test_norm.py")
    assert quiet.returncode == 0
    assert quiet.stdout.startswith("No lock file differs")
    assert json.loads((output / "pull-request.json").read_text())["renews"] is True


def test_a_nightly_run_ends_with_the_text_of_an_issue(project: Path, service: Service) -> None:
    job = Job(project, service)
    (project / "requirements.txt").write_text("keras==3.5.0\n")
    job.event({"schedule": "0 3 * * *"})
    done = job.gate(tests="test_norm.py", arguments="--against keras==3.6.0")
    assert done.returncode == 1
    issue = (project / "keras-golden-ci" / "issue.md").read_text(encoding="utf-8")
    assert issue.startswith("# keras 3.5.0 → 3.6.0 moves the numbers of this suite\n")
    assert "### ❌ keras 3.5.0 → 3.6.0, from requirements.txt to requirements.txt,keras" in issue
    assert "norm" in issue
    assert service.requests == []


def test_a_folder_of_the_users_is_not_taken(project: Path, service: Service) -> None:
    job = Job(project, service)
    (project / "keras-golden-ci").mkdir()
    (project / "keras-golden-ci" / "mine.txt").write_text("mine")
    job.event({"pull_request": {"number": 7, "base": {"sha": git(project, "rev-parse", "HEAD~1")}}})
    done = job.gate(tests="test_norm.py")
    assert done.returncode == 2
    assert (project / "keras-golden-ci" / "mine.txt").read_text() == "mine"
