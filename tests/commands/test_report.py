"""`keras-golden report`: logs of several jobs as one Markdown text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_files import NODEID, Run

from pytest_keras_golden.outcomes import TestOutcome, log_json


@pytest.fixture
def logs(project: Path) -> list[Path]:
    paths = [project / "one.json", project / "two.json"]
    for path, nodeid in zip(paths, (NODEID, "t.py::b"), strict=True):
        document = log_json(0, {}, [TestOutcome(nodeid, "recorded", written=True)])
        path.write_text(json.dumps(document), encoding="utf-8")
    return paths


def test_several_logs_become_one_text(logs: list[Path], golden_cli: Run) -> None:
    code, out, _ = golden_cli("report", *logs)
    assert code == 0
    assert "- tests: 2 recorded" in out


def test_the_suffix_says_the_format(logs: list[Path], golden_cli: Run, project: Path) -> None:
    assert golden_cli("report", *logs, "-o", project / "out.md")[0] == 0
    assert "2 recorded" in (project / "out.md").read_text(encoding="utf-8")
    code, _, err = golden_cli("report", *logs, "-o", project / "out.pdf")
    assert code == 2
    assert ".html or .md" in err


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": 2, "tests": []}', '{"schema": 1, "tests": [{"nodeid": "a"}]}'],
)
def test_what_is_no_log_is_refused(project: Path, golden_cli: Run, content: str) -> None:
    (project / "log.json").write_text(content, encoding="utf-8")
    code, out, err = golden_cli("report", "log.json")
    assert (code, out) == (2, "")
    assert "log" in err
