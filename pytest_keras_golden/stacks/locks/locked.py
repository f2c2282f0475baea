"""One package as a lock file pins it, and what is wrong with lock files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.utils import canonicalize_name

from ...errors import ConfigError
from ...release import normalised


@dataclass(frozen=True, slots=True)
class LockReference:
    """A lock file, as it is now or at a git revision."""

    path: Path
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.revision}:{self.path}" if self.revision else str(self.path)


@dataclass(frozen=True, slots=True)
class Locked:
    """name: normalised. hashes: `sha256:…`, of every file that the lock allows.

    index: where the lock takes it from, where it says so. address: of what no index offers: a
    repository, an archive or a folder.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    index: str | None = None
    address: str | None = None


def locked(
    where: str,
    name: object,
    version: object,
    hashes: Iterable[object] = (),
    index: object = None,
    address: object = None,
) -> Locked:
    """Checked. Raises ConfigError for what a lock file cannot mean; where: the file."""
    known = normalised(version)
    if not isinstance(name, str) or known is None:
        raise unreadable(where, f"{name!r} has the version {version!r}")
    digests = tuple(sorted({text for text in hashes if isinstance(text, str) and ":" in text}))
    return Locked(
        canonicalize_name(name),
        known,
        digests,
        index if isinstance(index, str) else None,
        address if isinstance(address, str) else None,
    )


def unreadable(where: str, why: object) -> ConfigError:
    said = " ".join(str(why).split())
    return ConfigError(f"{where} cannot be read as a lock file: {said}.", "Lock it anew.")


def holds(where: str, marker: object, environment: Mapping[str, str]) -> bool:
    """Whether an environment marker, or none, is true of the environment."""
    if not isinstance(marker, str) or not marker.strip():
        return True
    try:
        # Extras are chosen when a lock is made; what it lists is wanted.
        values: Any = {**environment, "extra": ""}
        return Marker(marker).evaluate(values)
    except (InvalidMarker, UndefinedEnvironmentName) as error:
        raise unreadable(where, error) from error


def tables(where: str, document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of tables of a document. Raises ConfigError where it is something else."""
    found = document.get(key, [])
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise unreadable(where, f"{key} is no list of packages")
    return list(found)


def toml(where: str, text: str) -> Mapping[str, Any]:
    # Python 3.10 has no tomllib; pytest itself brings tomli there.
    reader = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: Mapping[str, Any] = reader.loads(text)
    except reader.TOMLDecodeError as error:
        raise unreadable(where, error) from error
    return document


def needs(package: str, where: str) -> ConfigError:
    return ConfigError(
        f"Reading {where} needs {package}, which is not installed.",
        "Install it: pip install 'pytest-keras-golden[versions]'",
    )
