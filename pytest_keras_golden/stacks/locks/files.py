"""A lock file by its name, as it is now or at a git revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import ConfigError
from ...io.git import said_by_git
from .locked import Locked, LockReference, unreadable
from .requirements import read_requirements
from .tables import read_pdm, read_pixi, read_poetry, read_pylock
from .uv import read_uv

_MOST = 64 << 20
"""Bytes of a lock file."""


def read_lock(reference: LockReference, environment: Mapping[str, str]) -> dict[str, Locked]:
    """Normalised name → what the lock pins there for this environment's markers.

    Raises ConfigError where it is not there, does not parse, pins one package twice, or pins
    nothing for this platform.
    """
    where = str(reference)
    text = _text(reference)
    found: dict[str, Locked] = {}
    for package in _read(reference, where, text, environment):
        other = found.setdefault(package.name, package)
        if other.version != package.version:
            raise ConfigError(
                f"{where} pins {package.name} {other.version} and {package.version}.",
                "Lock it anew, so that each package has one version on this platform.",
            )
    if not found:
        raise ConfigError(
            f"{where} pins nothing for this platform ({environment.get('sys_platform')}, "
            f"Python {environment.get('python_version')}).",
            "Name a lock whose packages have exact versions: keras==3.15.1",
        )
    return found


def _read(
    reference: LockReference, where: str, text: str, environment: Mapping[str, str]
) -> list[Locked]:
    name = reference.path.name
    if name == "uv.lock":
        return read_uv(where, text, environment, _beside(reference))
    if name.startswith("pylock"):
        return read_pylock(where, text, environment)
    if name in _TABLES:
        return _TABLES[name](where, text, environment)
    return read_requirements(where, text, environment, _included(reference))


_TABLES: Mapping[str, Callable[[str, str, Mapping[str, str]], list[Locked]]] = {
    "poetry.lock": read_poetry,
    "pdm.lock": read_pdm,
    "pixi.lock": read_pixi,
}


def _included(reference: LockReference) -> Callable[[str], str]:
    def read(name: str) -> str:
        return _text(LockReference(reference.path.parent / name, reference.revision))

    return read


def _beside(reference: LockReference) -> Callable[[str], str | None]:
    def read(name: str) -> str | None:
        try:
            return _text(LockReference(reference.path.parent / name, reference.revision))
        except ConfigError:
            return None

    return read


def _text(reference: LockReference) -> str:
    content = _at_revision(reference) if reference.revision else _on_disk(reference.path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(str(reference), "it is no text in UTF-8") from error


def _on_disk(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST:
            raise unreadable(str(path), "it is larger than any lock")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} is not there to be read: {error.strerror}.",
            "Name a lock file, or one at a revision: origin/main:uv.lock",
        ) from error


def _at_revision(reference: LockReference) -> bytes:
    revision, path = str(reference.revision), reference.path
    if revision.startswith("-") or not said_by_git(
        "rev-parse", "--verify", f"{revision}^{{commit}}"
    ):
        raise ConfigError(
            f"git knows no revision {revision!r} here.",
            "Fetch it: git fetch origin (a shallow clone has one commit alone).",
        )
    place = path.as_posix() if path.is_absolute() else f"./{path.as_posix()}"
    content = said_by_git(
        "show", f"{revision}:{_in_repository(path) if path.is_absolute() else place}"
    )
    if content is None:
        raise ConfigError(
            f"{path} is not in revision {revision!r}.", "Name a lock file that was there then."
        )
    return content


def _in_repository(path: Path) -> str:
    top = (said_by_git("rev-parse", "--show-toplevel") or b"").decode("utf-8", "replace").strip()
    return path.relative_to(top).as_posix() if path.is_relative_to(top) else path.as_posix()
