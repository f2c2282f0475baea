"""Steps of docs/ci.md that talk to a service, in a shell with a `gh` that writes down."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
GH = """#!/bin/sh
echo "$@" >> calls
case "$1 $2" in "issue list") echo "$OPEN";; esac
"""


def workflow(name: str) -> Any:
    blocks: list[str] = re.findall(r"^```\w+\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if f"# .github/workflows/{name}.yml" in text]
    return yaml.safe_load(found)


@pytest.mark.parametrize(
    ("number", "done"), [("", "issue create --title"), ("12", "issue edit 12 --title")]
)
def test_one_issue_is_renewed_night_by_night(tmp_path: Path, number: str, done: str) -> None:
    steps = workflow("keras-nightly")["jobs"]["gate"]["steps"]
    (step,) = [step for step in steps if "issue" in step.get("run", "")]
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "issue.md").write_text("# keras 3.15.1 → 3.16.0 moves the numbers\n\ntext\n")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "OPEN": number}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    last = (tmp_path / "calls").read_text().splitlines()[-1]
    assert last.startswith(f"{done} keras 3.15.1 → 3.16.0 moves the numbers")
    assert "--body-file issue.md" in last


def test_pages_are_drawn_where_the_recipes_install() -> None:
    """`keras-golden ci` and `--html` write a page, which takes the extra `report`."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    nightly = workflow("keras-nightly")["jobs"]["gate"]["steps"]
    installs = [step["run"] for step in nightly if "pip install" in step.get("run", "")]
    for install in (action["inputs"]["install"]["default"], *installs):
        assert "pytest-keras-golden[versions,report]" in install


def test_only_pull_requests_have_a_comment_to_post() -> None:
    (job,) = workflow("keras-comment")["jobs"].values()
    assert job["if"] == "github.event.workflow_run.event == 'pull_request'"
