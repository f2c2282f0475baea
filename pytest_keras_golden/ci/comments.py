"""One comment of ours on a pull or merge request, written once and then kept up to date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from .http import ServiceError, call, entries, whole, within

MOST = 60_000
"""Characters; GitHub refuses comments over 65,536."""

_PAGES = 30
_MARKER = re.compile(r"<!-- keras-golden (.*) -->(?:\n|$)")
_TRUSTED = {"OWNER", "MEMBER", "COLLABORATOR"}


@dataclass(frozen=True, slots=True)
class Comment:
    """key: its number. ours: whether it may be one of ours, by who wrote it."""

    key: int
    body: str
    ours: bool


class Place(Protocol):
    """Where comments of one request are."""

    @property
    def token(self) -> str | None: ...
    @property
    def wants(self) -> str: ...
    def comments(self) -> Iterator[Comment]: ...
    def create(self, body: str) -> None: ...
    def update(self, key: int, body: str) -> None: ...


def marker(name: str) -> str:
    """The first line of our comment; two jobs with other names have a comment each."""
    return f"<!-- keras-golden {re.sub(r'[^A-Za-z0-9 ._/-]', '_', name)[:100]} -->"


def post(place: Place, name: str, text: str) -> str:
    """Write or renew the comment; what was done, in a word. Raises ServiceError."""
    first = marker(name)
    body = f"{first}\n{text}"
    if len(body) > MOST:
        body = f"{body[:MOST]}\n\n… cut off here; the artifact has the whole page."
    old = next((c for c in place.comments() if c.ours and c.body.startswith(first)), None)
    if old is None:
        place.create(body)
        return "written"
    place.update(old.key, body)
    return "renewed"


def outdate(place: Place, concerns: Callable[[str], bool], text: str) -> int:
    """Put `text` into those of our comments whose names are concerned; how many there were.
    Raises ServiceError."""
    old = [c for c in place.comments() if c.ours and concerns(_name_of(c.body))]
    for comment in old:
        place.update(comment.key, f"{comment.body.partition(chr(10))[0]}\n{text}")
    return len(old)


def _name_of(body: str) -> str:
    match = _MARKER.match(body)
    return match[1] if match else ""


@dataclass(frozen=True, slots=True)
class GitHub:
    """Comments of a pull request; `pull-requests: write` is all that is needed."""

    api: str
    repository: str
    number: int
    token: str | None

    wants = "GITHUB_TOKEN with `pull-requests: write`"

    def comments(self) -> Iterator[Comment]:
        for page in range(1, _PAGES + 1):
            page_of = f"{self._issue}/comments?per_page=100&page={page}"
            found = entries(self._call("GET", page_of))
            yield from map(_of_github, found)
            if len(found) < 100:
                return

    def create(self, body: str) -> None:
        self._call("POST", f"{self._issue}/comments", {"body": body})

    def update(self, key: int, body: str) -> None:
        self._call("PATCH", f"{self._repository}/issues/comments/{key}", {"body": body})

    def head(self) -> str:
        """The newest commit of the pull request. Raises ServiceError."""
        pull = self._call("GET", f"{self._repository}/pulls/{self.number}")
        sha = within(pull, "head", "sha")
        if not isinstance(sha, str):
            raise ServiceError(f"the service names no newest commit of {self.number}")
        return sha

    @property
    def _repository(self) -> str:
        return f"{self.api}/repos/{quote(self.repository)}"

    @property
    def _issue(self) -> str:
        return f"{self._repository}/issues/{self.number}"

    def _call(self, method: str, url: str, body: Any = None) -> Any:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return call(method, url, headers, body)


def _of_github(found: Any) -> Comment:
    """Anyone may write a comment that begins as ours does: theirs is never written over."""
    trusted = str(within(found, "author_association")) in _TRUSTED
    ours = within(found, "user", "type") == "Bot" or trusted
    return Comment(whole(found, "id"), _body(found), ours)


def _body(found: Any) -> str:
    return str(within(found, "body") or "")


@dataclass(frozen=True, slots=True)
class GitLab:
    """Notes of a merge request. A job's own token may not write them, so GITLAB_TOKEN is one that
    may (scope `api`)."""

    api: str
    project: str
    number: int
    token: str | None

    wants = "GITLAB_TOKEN of scope `api`"

    def comments(self) -> Iterator[Comment]:
        me = whole(self._call("GET", f"{self.api}/user"), "id")
        for page in range(1, _PAGES + 1):
            found = entries(self._call("GET", f"{self._notes}?per_page=100&page={page}"))
            for note in found:
                ours = within(note, "author", "id") == me
                yield Comment(whole(note, "id"), _body(note), ours)
            if len(found) < 100:
                return

    def create(self, body: str) -> None:
        self._call("POST", self._notes, {"body": body})

    def update(self, key: int, body: str) -> None:
        self._call("PUT", f"{self._notes}/{key}", {"body": body})

    @property
    def _notes(self) -> str:
        return (
            f"{self.api}/projects/{quote(self.project, safe='')}/merge_requests/{self.number}/notes"
        )

    def _call(self, method: str, url: str, body: Any = None) -> Any:
        return call(method, url, {"PRIVATE-TOKEN": str(self.token)}, body)
