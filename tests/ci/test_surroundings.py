"""What a CI service's own variables say of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_keras_golden.ci.comments import GitHub, GitLab
from pytest_keras_golden.ci.surroundings import surroundings
from pytest_keras_golden.errors import ConfigError

SHA = "b" * 40


def github(tmp_path: Path, event: Any) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_TOKEN": "t",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def test_a_pull_request_is_known_by_its_event(tmp_path: Path) -> None:
    event = {"pull_request": {"number": 5, "base": {"sha": SHA}}}
    found = surroundings(github(tmp_path, event))
    assert found.base == SHA
    assert found.summary == tmp_path / "summary.md"
    assert found.place == GitHub("https://api.github.com", "o/r", 5, "t")


@pytest.mark.parametrize(
    ("event", "base"),
    [
        ({"before": SHA}, SHA),
        ({"before": "0" * 40}, None),
        ({"merge_group": {"base_sha": SHA}}, SHA),
        ({"schedule": "0 3 * * *"}, None),
        ({"pull_request": []}, None),
    ],
)
def test_other_events_have_a_base_and_no_comment(tmp_path: Path, event: Any, base: Any) -> None:
    found = surroundings(github(tmp_path, event))
    assert (found.base, found.place) == (base, None)


@pytest.mark.parametrize("event", ["", "[]", "{", '{"a": NaN}', "[" * 10_000])
def test_an_event_that_is_none_is_an_error(tmp_path: Path, event: str) -> None:
    with pytest.raises(ConfigError, match="GITHUB_EVENT_PATH"):
        surroundings(github(tmp_path, event))


def test_a_merge_request_is_known_by_its_variables() -> None:
    environ = {
        "GITLAB_CI": "true",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": SHA,
        "CI_MERGE_REQUEST_IID": "9",
        "CI_PROJECT_ID": "12",
        "CI_API_V4_URL": "https://git.example/api/v4",
        "GITLAB_TOKEN": "t",
    }
    found = surroundings(environ)
    assert found.base == SHA
    assert found.place == GitLab("https://git.example/api/v4", "12", 9, "t")


def test_a_shell_knows_nothing() -> None:
    found = surroundings({})
    assert (found.service, found.base, found.place) == ("this shell", None, None)
