"""What packages ask of each other, by the metadata they were installed with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ..release import parsed
from .overlay.described import headers


@dataclass(frozen=True, slots=True)
class Demand:
    """What a package asks of another: versions, and extras of it."""

    versions: SpecifierSet = field(default_factory=SpecifierSet)
    extras: frozenset[str] = frozenset()


def requirements(
    name: str, folder: Path, environment: Mapping[str, str], extras: Collection[str] = ()
) -> dict[str, Demand]:
    """Normalised name → what the package in `folder` asks of it on this platform. extras: of the
    package, which something else asks for."""
    found: dict[str, Demand] = {}
    for distribution in metadata.distributions(name=name, path=[str(folder)]):
        for requirement in _required(distribution):
            if _is_asked_for(requirement, environment, extras):
                key = canonicalize_name(requirement.name)
                known = found.get(key, Demand())
                versions = known.versions & requirement.specifier
                found[key] = Demand(versions, known.extras | requirement.extras)
        break
    return found


def is_in(folder: Path, name: str) -> bool:
    """Whether a package was installed into `folder`."""
    return any(metadata.distributions(name=name, path=[str(folder)]))


def all_required(distribution: metadata.Distribution) -> set[str]:
    """Normalised names of all that a package may ask for, on any platform and as any extra."""
    return {canonicalize_name(one.name) for one in _required(distribution)}


def _required(distribution: metadata.Distribution) -> Iterator[Requirement]:
    named = headers(distribution).get_all("Requires-Dist")
    # Packages of long ago say it in a file of its own, which the standard library reads.
    by_file = named is None and distribution.read_text("requires.txt")
    known = map(_parsed, (distribution.requires if by_file else named) or ())
    return (requirement for requirement in known if requirement is not None)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Requirement | None:
    """Each side of a gate asks all that is installed."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        # Metadata of long ago; what it asks for cannot be known.
        return None


def _is_asked_for(
    requirement: Requirement, environment: Mapping[str, str], extras: Collection[str]
) -> bool:
    if requirement.marker is None:
        return True
    every: list[Any] = [{**environment, "extra": extra} for extra in ("", *extras)]
    return any(map(requirement.marker.evaluate, every))


def fits(specifier: SpecifierSet, version: str) -> bool:
    """Whether a requirement takes a version; one that is none of the index is taken."""
    return parsed(version) is None or specifier.contains(version, prereleases=True)


def is_exact(specifier: SpecifierSet) -> bool:
    """Whether a requirement leaves one version: `==0.8.1`, or jax's `<=0.8.1,>=0.8.1`."""
    bounds: dict[str, set[str]] = {}
    for clause in specifier:
        bounds.setdefault(clause.operator, set()).add(clause.version)
    if "==" in bounds or "===" in bounds:
        return True
    return bool(bounds.get("<=", set()) & bounds.get(">=", set()))
