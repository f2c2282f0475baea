"""From a stack to a side that can be run: what is not the environment's own is installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet

from ..errors import ConfigError, StackError
from .chosen import Package, Release, Stack, parts, shown
from .environment import Environment
from .grammar import SourceReference
from .overlay.folder import ensure_overlay
from .overlay.merged import merged
from .overlay.neighbours import ensure_runnable
from .overlay.releases import releases
from .pin import Pin
from .side import Side
from .sources import ensure_source
from .ties import Demand, fits, is_exact, is_in, requirements

_AT_ONCE = 4
"""Installations side by side: they wait for the index and the disk."""


def install(stack: Stack, among: Sequence[Stack], text: str = "") -> Side:
    """The side, with every package in its folder. among: the sides that it is one of.

    Raises StackError or ConfigError, with nothing half-installed, where a package cannot be had.
    """
    laid = [package for package in stack.packages.values() if package.origin is not None]
    alone = folders(stack, laid)
    folder = merged(alone, tag=stack.environment.tag) if alone else None
    pins = tuple(_pin(package, folder, stack.environment) for package in stack.packages.values())
    python = None if stack.environment.is_this else str(stack.environment.python)
    return Side(pins, text, dict(stack.switches), parts(stack, among), python)


def _pin(package: Package, folder: Path | None, environment: Environment) -> Pin:
    version = shown(package) or package.version
    if package.origin is None or folder is None:
        return Pin(package.name, version, environment.installed[package.name].folder, own=True)
    return Pin(package.name, version, folder)


def folders(stack: Stack, packages: Iterable[Package]) -> list[Path]:
    """The folder of each package alone, installed where it is not there; first errors first."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda package: folder(stack.environment, package), packages))


def folder(environment: Environment, package: Package) -> Path:
    if package.origin is None:
        return environment.installed[package.name].folder
    if isinstance(package.origin, SourceReference):
        return ensure_source(package.origin, environment)
    return _released(environment, package, package.origin)


def _released(environment: Environment, package: Package, release: Release) -> Path:
    locked = release.locked
    if locked is not None and locked.address is not None:
        raise ConfigError(
            f"The lock takes {package.name} {package.version} from {locked.address}, which no "
            "index offers.",
            f"Name a clone and a commit of it: {package.name}@CLONE:REVISION",
        )
    if locked is not None and locked.index is not None and not is_configured(locked.index):
        raise ConfigError(
            f"The lock takes {package.name} {package.version} from the index {locked.index}, "
            "which this environment does not use.",
            "Configure it for uv or pip, so that nothing of that name comes from elsewhere: "
            "UV_INDEX or PIP_EXTRA_INDEX_URL",
        )
    hashes = locked.hashes if locked is not None else ()
    if environment.is_this and not hashes and package.name == "keras":
        return ensure_runnable(package.name, package.version)
    python = None if environment.is_this else environment.interpreter
    return ensure_overlay(package.name, package.version, hashes=hashes, python=python)


_PUBLIC = ("://pypi.org/", "://files.pythonhosted.org/", "://pypi.python.org/")
_INDEX_VARIABLES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
)


def is_configured(index: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an index is the public one, or one that the environment names to uv or pip."""
    if any(public in f"{index}/" for public in _PUBLIC):
        return True
    named = " ".join(environ.get(name, "") for name in _INDEX_VARIABLES)
    return any(part.rpartition("=")[2].rstrip("/") == index.rstrip("/") for part in named.split())


def with_companions(stack: Stack, tell: Callable[[str], None]) -> Stack:
    """What the packages that the user names cannot do without, in versions that fit them: jaxlib
    with jax, and what a release asks for that the environment lacks, unless the environment's own
    release asks for it as well and does without. tell: hears of each.

    Raises ConfigError where a package of the environment is tied to another version of one named.
    """
    named = [package for package in stack.packages.values() if package.is_named]
    for package in named:
        _refuse_ties(stack, stack.packages, package)
    completing = _Completing(stack, tell)
    for package in named:
        completing.look_at(package, frozenset())
    while completing.waiting:
        completing.bring(completing.waiting.pop(0))
    return completing.stack


@dataclass(slots=True)
class _Completing:
    """looked_at: package → the extras of it that were asked for."""

    stack: Stack
    tell: Callable[[str], None]
    waiting: list[Package] = field(default_factory=list)
    looked_at: dict[str, frozenset[str]] = field(default_factory=dict)

    def look_at(self, package: Package, extras: frozenset[str]) -> None:
        if not isinstance(package.origin, SourceReference):
            self.looked_at[package.name] = extras
            self.waiting.append(package)

    def bring(self, package: Package) -> None:
        """What a package asks for and does not find."""
        place, markers = folder(self.stack.environment, package), self.stack.environment.markers
        asked_of = requirements(package.name, place, markers, self.looked_at[package.name])
        for name, asked in asked_of.items():
            now = self.stack.package(name)
            if now is None and self._does_without(package, place, name):
                continue
            if now is not None and (now.is_named or fits(asked.versions, now.version)):
                known = self.looked_at.get(name)
                if known is not None and not asked.extras <= known:
                    self.look_at(now, known | asked.extras)
                continue
            companion = Package(name, _newest(name, asked.versions, package), Release())
            self.tell(
                f"{name} {companion.version} goes with {package.name} {package.version}, which "
                f"asks for {name}{asked.versions}, and this environment has "
                f"{'none' if now is None else now.version}"
            )
            self.stack = self.stack.with_packages([*self.stack.packages.values(), companion])
            self.look_at(companion, asked.extras)

    def _does_without(self, package: Package, place: Path, name: str) -> bool:
        environment = self.stack.environment
        own = _asked_by_own(environment, package.name)
        return is_in(place, name) or name in own or _has_module(environment, name)


def _has_module(environment: Environment, name: str) -> bool:
    """Whether a package by another name brings what is imported as that: tensorflow-cpu, say."""
    module = name.replace("-", "_")
    folders = {installed.folder for installed in environment.installed.values()}
    return any((f / module).is_dir() or (f / f"{module}.py").is_file() for f in folders)


def _asked_by_own(environment: Environment, name: str) -> Mapping[str, Demand]:
    own = environment.installed.get(name)
    return {} if own is None else requirements(name, own.folder, environment.markers)


def _newest(name: str, specifier: SpecifierSet, asking: Package) -> str:
    fitting = [v for v in releases(name) if fits(specifier, str(v))]
    if not fitting:
        raise StackError(
            f"{asking.name} {asking.version} asks for {name}{specifier}, which the package index "
            "does not offer."
        )
    return str(max(fitting))


def _refuse_ties(stack: Stack, packages: Mapping[str, Package], package: Package) -> None:
    for name, own in stack.environment.installed.items():
        if name in packages:
            continue
        asked = requirements(name, own.folder, stack.environment.markers).get(package.name)
        if asked is None or fits(asked.versions, package.version):
            continue
        if is_exact(asked.versions):
            raise ConfigError(
                f"{name} {own.version} of this environment runs with "
                f"{package.name}{asked.versions} alone, "
                f"and the side asks for {package.name} {package.version}.",
                f"Name both: {name}==VERSION,{package.name}=={package.version}, or bump "
                f"{name}: --package={name}",
            )


def fingerprint(stack: Stack) -> str:
    """What tells a stack's runs from another's. Not what is the environment's own: which packages
    are named depends on the other side, and a run's evidence has what is installed."""
    laid = (package for package in stack.packages.values() if package.origin is not None)
    told = [f"{package.name}={shown(package)}" for package in laid]
    told += [f"{name}={value}" for name, value in stack.switches.items()]
    return hashlib.sha256("\n".join([str(stack.environment.python), *told]).encode()).hexdigest()
