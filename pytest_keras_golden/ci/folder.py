"""The folder that a CI job keeps: pages, for whom they are, and the goldens of what moved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.atomic import folders, replacing, write_whole
from ..io.ownership import is_ours, renew
from ..io.strict import parse_object

PAGE, JSON, COMMENT = "gate.html", "gate.json", "comment.md"
REQUEST, ISSUE = "pull-request.json", "issue.md"
GOLDENS, CANDIDATES = "goldens", "candidates"
MOST = 1 << 28
"""Bytes of goldens and candidates; what a service keeps of a job is paid for, or limited."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Whose comment is to be written. name: of the comment; None for those of every lock file that
    a job on `backend` has judged. renews: only what is there is renewed, none is written."""

    number: int
    name: str | None = None
    backend: str = ""
    renews: bool = False

    def text(self) -> str:
        told = {"pull_request": self.number, "name": self.name}
        return json.dumps({**told, "backend": self.backend, "renews": self.renews}) + "\n"


def opened(path: Path) -> Path:
    """An empty folder of ours, which git leaves alone. Raises ConfigError."""
    folder = renew(path)
    write_whole(folder / ".gitignore", "*\n")
    return folder


def comment_in(folder: Path) -> tuple[Posting, str]:
    """What a run left to be posted: whose comment, and its text. Raises ConfigError."""
    try:
        left = parse_object((folder / REQUEST).read_bytes())
        text = (folder / COMMENT).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} holds no comment: {error}") from error
    return _request(left, folder / REQUEST), text


def _request(left: Mapping[str, Any], path: Path) -> Posting:
    number, name, renews = left.get("pull_request"), left.get("name"), left.get("renews", False)
    backend = left.get("backend", "")
    known = isinstance(name, str) or (name is None and renews is True)
    if type(number) is not int or not known or not isinstance(backend, str):
        raise ConfigError(f"{path} names no pull request.")
    return Posting(number, name, backend, renews is True)


def keep(pairs: Iterable[tuple[str | None, str | None]], folder: Path) -> int:
    """Copy goldens and candidates of tests, while there is room; of how many tests there was none.

    pairs: where a test's golden and its candidate lie.
    """
    room, left_out = MOST, 0
    for golden, candidate in pairs:
        given = {GOLDENS: golden, CANDIDATES: candidate}
        files = {folder / part / _below(Path(at)): Path(at) for part, at in given.items() if at}
        there = {to: path for to, path in files.items() if path.is_file()}
        size = sum(path.stat().st_size for path in there.values())
        if size > room:
            left_out += 1
            continue
        room -= size
        for to, path in there.items():
            with folders(to.parent), path.open("rb") as source, replacing(to) as copy:
                shutil.copyfileobj(source, copy)
    return left_out


def _below(path: Path) -> Path:
    """The path below the folder of goldens or candidates that a run has made."""
    root = next((parent for parent in path.parents if is_ours(parent)), path.parent)
    return path.relative_to(root)
