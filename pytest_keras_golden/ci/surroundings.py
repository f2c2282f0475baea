"""What the CI service says of this run, by its own environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.strict import FieldError, parse_object
from .comments import GitHub, GitLab, Place

NOWHERE = "0" * 40
"""What services write for the commit before the first."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One run of a service.

    service: its name, `this shell` outside of any. base: the revision that the change is measured
    by, None where the service names none. summary: the file that becomes the job's page. place:
    where comments go, None where there is no pull or merge request.
    """

    service: str
    base: str | None = None
    summary: Path | None = None
    place: Place | None = None


def surroundings(environ: Mapping[str, str]) -> Surroundings:
    """Raises ConfigError where a service's event cannot be read."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return Surroundings("this shell")


def _github(environ: Mapping[str, str]) -> Surroundings:
    event = event_of(environ)
    pull = _mapping(event, "pull_request")
    base = (
        _text(_mapping(pull, "base"), "sha")
        or _text(_mapping(event, "merge_group"), "base_sha")
        or _text(event, "before")
    )
    summary = environ.get("GITHUB_STEP_SUMMARY")
    number = pull.get("number")
    place = github(environ, number) if isinstance(number, int) else None
    return Surroundings(
        "GitHub", None if base == NOWHERE else base, Path(summary) if summary else None, place
    )


def github(environ: Mapping[str, str], number: int) -> GitHub:
    """The comments of a pull request."""
    api = environ.get("GITHUB_API_URL", "https://api.github.com")
    token = environ.get("GITHUB_TOKEN")
    return GitHub(api, environ.get("GITHUB_REPOSITORY", ""), number, token)


def event_of(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The event that started a workflow. Raises ConfigError where it is no JSON object."""
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return {}
    try:
        return parse_object(Path(path).read_bytes())
    except (OSError, FieldError) as error:
        raise ConfigError(
            f"GITHUB_EVENT_PATH names no event: {path}: {error}",
            "Name the revision to compare with: keras-golden ci --base REVISION -- tests/",
        ) from error


def _gitlab(environ: Mapping[str, str]) -> Surroundings:
    base = environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or environ.get("CI_COMMIT_BEFORE_SHA")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    place = None
    if number.isdigit():
        api = environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4")
        project = environ.get("CI_PROJECT_ID", "")
        place = GitLab(api, project, int(number), environ.get("GITLAB_TOKEN"))
    return Surroundings("GitLab", None if base in (None, NOWHERE) else base, None, place)


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(document: Mapping[str, Any], key: str) -> str | None:
    found = document.get(key)
    return found if isinstance(found, str) and found else None


def pull_request_of_run(event: Mapping[str, Any]) -> str | None:
    """The commit whose workflow has completed, of a `workflow_run` event."""
    return _text(_mapping(event, "workflow_run"), "head_sha")
