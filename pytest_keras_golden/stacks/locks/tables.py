"""Locks that are tables of packages: pylock.toml, poetry.lock, pdm.lock and pixi.lock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from ...errors import ConfigError
from .locked import Locked, holds, locked, needs, tables, toml, unreadable


def read_pylock(where: str, text: str, environment: Mapping[str, str]) -> list[Locked]:
    """`pylock.toml` (PEP 751), by `packaging.pylock`; its default groups, no extras."""
    try:
        from packaging.pylock import Pylock, PylockSelectError, PylockValidationError
    except ImportError as error:
        raise needs("packaging 26.1 or newer", where) from error
    document = toml(where, text)
    try:
        lock = Pylock.from_dict(document)
        markers: Any = dict(environment)
        chosen = [(package, source) for package, source in lock.select(environment=markers)]
    except (PylockValidationError, PylockSelectError, ValueError) as error:
        raise unreadable(where, error) from error
    # A project of one's own has no version in it.
    return [
        locked(
            where,
            package.name,
            None if package.version is None else str(package.version),
            _file_hashes([*(package.wheels or ()), *filter(None, [package.sdist])]),
            package.index,
            _address(source),
        )
        for package, source in chosen
        if package.version is not None
    ]


def _file_hashes(files: Iterable[Any]) -> Iterator[str]:
    for file in files:
        yield from (f"{name}:{value}" for name, value in file.hashes.items())


def _address(source: Any) -> str | None:
    """Of what is in no index: a repository, an archive, a folder."""
    if type(source).__name__ in ("PackageWheel", "PackageSdist"):
        return None
    return str(getattr(source, "url", None) or getattr(source, "path", None))


def read_poetry(where: str, text: str, environment: Mapping[str, str]) -> list[Locked]:
    """`poetry.lock`. Before Poetry 2 only dependencies carry markers: what no true one of them
    leads to is for another platform."""
    document = toml(where, text)
    packages = tables(where, document, "package")
    wanted = _reached(where, packages, environment)
    return [
        locked(
            where,
            package.get("name"),
            package.get("version"),
            _listed_hashes(package.get("files", _old_files(document, package))),
            *_poetry_source(package),
        )
        for package in packages
        if canonicalize_name(str(package.get("name"))) in wanted
        and _poetry_marker(where, package, environment)
    ]


def _poetry_marker(where: str, package: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    marker = package.get("markers")
    if isinstance(marker, Mapping):
        # By group: one that needs it is enough.
        return any(holds(where, text, environment) for text in marker.values())
    return holds(where, marker, environment)


def _poetry_source(package: Mapping[str, Any]) -> tuple[str | None, str | None]:
    source = package.get("source")
    if not isinstance(source, Mapping):
        return None, None
    if source.get("type") == "legacy":
        return str(source.get("url")), None
    return None, str(source.get("url"))


def _old_files(document: Mapping[str, Any], package: Mapping[str, Any]) -> Any:
    files = (document.get("metadata") or {}).get("files")
    return files.get(package.get("name"), []) if isinstance(files, Mapping) else []


def _reached(
    where: str, packages: Iterable[Mapping[str, Any]], environment: Mapping[str, str]
) -> set[str]:
    """Names of all packages but those that others ask for, and none of them here."""
    asking: dict[str, dict[str, bool]] = {}
    for package in packages:
        name = str(canonicalize_name(str(package.get("name"))))
        asking.setdefault(name, {})
        for other, how in (package.get("dependencies") or {}).items():
            here = any(holds(where, marker, environment) for marker in _markers(how))
            asking.setdefault(canonicalize_name(other), {})[name] = here
    kept = set(asking)
    while True:
        gone = {n for n in kept if asking[n] and not any(asking[n].get(by) for by in kept)}
        if not gone:
            return kept
        kept -= gone


def _markers(how: object) -> list[object]:
    several = how if isinstance(how, list) else [how]
    return [each.get("markers") if isinstance(each, Mapping) else None for each in several]


def read_pdm(where: str, text: str, environment: Mapping[str, str]) -> list[Locked]:
    """`pdm.lock`."""
    packages = tables(where, toml(where, text), "package")
    return [
        locked(
            where,
            package.get("name"),
            package.get("version"),
            _listed_hashes(package.get("files")),
            None,
            package.get("git") or package.get("url") or package.get("path"),
        )
        for package in packages
        if holds(where, package.get("marker"), environment)
        and not (package.get("path") and "version" not in package)
    ]


def _listed_hashes(files: object) -> list[object]:
    entries = files if isinstance(files, list) else []
    return [entry.get("hash") for entry in entries if isinstance(entry, Mapping)]


_PIXI_PLATFORMS: Mapping[tuple[str, str], str] = {
    ("Linux", "x86_64"): "linux-64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Darwin", "x86_64"): "osx-64",
    ("Darwin", "arm64"): "osx-arm64",
    ("Windows", "AMD64"): "win-64",
}


def read_pixi(where: str, text: str, environment: Mapping[str, str]) -> list[Locked]:
    """`pixi.lock`: its `default` environment, else its only one. Packages of conda count by name
    and version; their own builds are for conda alone."""
    document = _yaml(where, text)
    chosen = _pixi_environment(where, document)
    platform = _PIXI_PLATFORMS.get(
        (environment["platform_system"], environment["platform_machine"]), "none"
    )
    listed = (chosen.get("packages") or {}).get(platform) or []
    details = {
        str(entry.get("pypi")): entry
        for entry in tables(where, document, "packages")
        if entry.get("pypi")
    }
    index = next(iter(chosen.get("indexes") or ()), None)
    found = [_pixi_package(where, entry, details, index) for entry in listed]
    return [package for package in found if package is not None]


def _pixi_environment(where: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    environments = document.get("environments")
    if not isinstance(environments, Mapping) or not environments:
        raise unreadable(where, "it has no environments")
    chosen = environments.get("default", next(iter(environments.values())))
    if not isinstance(chosen, Mapping):
        raise unreadable(where, "its environment is no table")
    return chosen


_CONDA_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.(conda|tar\.bz2)")


def _pixi_package(
    where: str,
    entry: object,
    details: Mapping[str, Mapping[str, Any]],
    index: object,
) -> Locked | None:
    if not isinstance(entry, Mapping):
        raise unreadable(where, f"{entry!r} is no package")
    if "pypi" in entry:
        told = details.get(str(entry["pypi"]), {})
        if told.get("version") is None:
            return None
        digest = told.get("sha256")
        hashes = [f"sha256:{digest}"] if isinstance(digest, str) else []
        return locked(where, told.get("name"), told["version"], hashes, index)
    match = _CONDA_FILE.fullmatch(str(entry.get("conda", "")).rpartition("/")[2])
    if match is None:
        return None
    try:
        return locked(where, match["name"], match["version"])
    except ConfigError:
        # conda knows versions that are none of PEP 440: of compilers, of time zones.
        return None


def _yaml(where: str, text: str) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise needs("pyyaml", where) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise unreadable(where, error) from error
    if not isinstance(document, Mapping):
        raise unreadable(where, "it is no table")
    return document
