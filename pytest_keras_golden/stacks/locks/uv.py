"""`uv.lock`, read by uv itself: exported as a `pylock.toml`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from ...io.atomic import write_whole
from ..overlay.installer import find_uv
from .locked import Locked, needs, tables, toml, unreadable
from .tables import read_pylock

_FROZEN = ("export", "--quiet", "--frozen", "--format", "pylock.toml", "--no-emit-workspace")
_EVERYTHING = ("--all-packages", "--all-extras", "--all-groups")


def read_uv(
    where: str, text: str, environment: Mapping[str, str], read: Callable[[str], str | None]
) -> list[Locked]:
    """Every group and extra, or, where the project declares that they conflict, the default ones.

    read: a path beside the lock → its text, None where there is none.
    Raises ConfigError where uv cannot read it.
    """
    uv = find_uv()
    if uv is None:
        raise needs("uv", where)
    with TemporaryDirectory(prefix="kg-lock-") as folder:
        for name, content in _projects(where, text, read):
            write_whole(Path(folder) / name / "pyproject.toml", content)
        write_whole(Path(folder) / "uv.lock", text)
        exported = _export([*uv, *_FROZEN, *_EVERYTHING], folder)
        if exported.returncode:
            exported = _export([*uv, *_FROZEN, "--all-packages"], folder)
    if exported.returncode:
        said = exported.stderr.strip().splitlines() or ["uv gave no reason"]
        raise unreadable(where, said[-1])
    return read_pylock(where, exported.stdout, environment)


def _export(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "--no-python-downloads"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _projects(
    where: str, text: str, read: Callable[[str], str | None]
) -> Iterator[tuple[str, str]]:
    """The projects that the lock is of: uv looks at them beside it."""
    document = toml(where, text)
    seen = {"."}
    yield ".", read("pyproject.toml") or _stand_in(document, ".")
    for package in tables(where, document, "package"):
        place = _folder(package)
        if place is not None and place not in seen:
            seen.add(place)
            told = read(f"{place}/pyproject.toml")
            yield place, told or _stand_in({"package": [package]}, place)


def _folder(package: Mapping[str, Any]) -> str | None:
    """Of a project in the workspace, relative to the lock."""
    source = package.get("source")
    if not isinstance(source, Mapping):
        return None
    place = source.get("editable", source.get("virtual"))
    if not isinstance(place, str) or PurePosixPath(place).is_absolute():
        return None
    return None if ".." in PurePosixPath(place).parts else place


def _stand_in(document: Mapping[str, Any], place: str) -> str:
    """What uv needs to know of a project whose own file is not there."""
    own = [p for p in document.get("package", ()) if _folder(p) == place]
    name = str(own[0].get("name")) if own else "project"
    python = document.get("requires-python")
    required = f'requires-python = "{python}"\n' if isinstance(python, str) else ""
    return f'[project]\nname = "{name}"\nversion = "0"\n{required}'
