"""`requirements.txt`, as pip, pip-tools and `uv export` write it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement

from .locked import Locked, holds, locked, unreadable

Reader = Callable[[str], str]
"""Path beside the file, as `-r` names it → its text."""

_MOST_FILES = 50


@dataclass(slots=True)
class _Reading:
    """State over the files that include each other. index: the last that was named."""

    read: Reader
    environment: Mapping[str, str]
    index: str | None = None
    files: set[str] = field(default_factory=set)


def read_requirements(
    where: str, text: str, environment: Mapping[str, str], read: Reader
) -> list[Locked]:
    """What is pinned by `==`; ranges, and projects of one's own (`-e .`), pin nothing.

    Raises ConfigError for lines that are none of a requirements file.
    """
    return list(_pinned(where, PurePosixPath(), text, _Reading(read, environment)))


def _pinned(where: str, folder: PurePosixPath, text: str, reading: _Reading) -> Iterator[Locked]:
    for line in _logical_lines(text):
        option, rest = _option(line)
        if option in _INCLUDES:
            yield from _included(where, folder, rest, reading)
        elif option in _INDEXES:
            reading.index = rest
        elif option is None:
            found = _requirement(where, line, reading)
            if found is not None:
                yield found
        elif option not in _IGNORED:
            raise unreadable(where, f"{option} is no option of a requirements file")


_INCLUDES = ("-r", "--requirement", "-c", "--constraint")
_INDEXES = ("-i", "--index-url", "--extra-index-url")
_IGNORED = frozenset(
    {"-e", "--editable", "-f", "--find-links", "--no-index", "--no-binary", "--only-binary"}
    | {"--prefer-binary", "--require-hashes", "--pre", "--trusted-host", "--use-feature"}
)


def _logical_lines(text: str) -> Iterator[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped


def _option(line: str) -> tuple[str | None, str]:
    if not line.startswith("-"):
        return None, line
    match = re.match(r"(--[\w-]+|-\w)[=\s]*(.*)", line)
    return (match[1], match[2].strip()) if match else (line, "")


def _included(where: str, folder: PurePosixPath, name: str, reading: _Reading) -> Iterator[Locked]:
    path = (folder / name).as_posix()
    if path in reading.files or len(reading.files) > _MOST_FILES:
        return
    reading.files.add(path)
    text = reading.read(path)
    yield from _pinned(f"{where} (-r {name})", PurePosixPath(path).parent, text, reading)


def _requirement(where: str, line: str, reading: _Reading) -> Locked | None:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise unreadable(where, error) from error
    hashes = [word.removeprefix("--hash=") for word in words if word.startswith("--hash=")]
    bare = re.split(r"\s--(?=\w)", line)[0]
    if re.match(r"[./~]|\w+://|\w+\+\w+:", bare):
        # A project of one's own, or an address: nothing that an index has a version of.
        return None
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        raise unreadable(where, f"{shown(bare)}: {error}") from error
    marker = str(requirement.marker) if requirement.marker else None
    if requirement.url or not holds(where, marker, reading.environment):
        return None
    pins = [s.version for s in requirement.specifier if s.operator in ("==", "===")]
    exact = [version for version in pins if not version.endswith(".*")]
    return locked(where, requirement.name, exact[0], hashes, reading.index) if exact else None


def shown(text: str, most: int = 60) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}…")
