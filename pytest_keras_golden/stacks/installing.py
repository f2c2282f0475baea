"""From a stack to a side that can be run: what is not the environment's own is installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

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
from .ties import fits, is_exact, requirements

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
    with jax. tell: hears of each.

    Raises ConfigError where a package of the environment is tied to another version of one named.
    """
    packages = dict(stack.packages)
    waiting = [package for package in packages.values() if package.is_named]
    for package in waiting:
        _refuse_ties(stack, packages, package)
    while waiting:
        package = waiting.pop(0)
        if isinstance(package.origin, SourceReference):
            continue
        asked = requirements(
            package.name, folder(stack.environment, package), stack.environment.markers
        )
        for name, specifier in asked.items():
            now = replace(stack, packages=packages).package(name)
            if now is None or now.is_named or fits(specifier, now.version):
                continue
            companion = Package(name, _newest(name, specifier, package), Release())
            tell(
                f"{name} {companion.version} goes with {package.name} {package.version}, which "
                f"asks for {name}{specifier} and not {now.version}"
            )
            packages[name] = companion
            waiting.append(companion)
    return replace(stack, packages=packages)


def _newest(name: str, specifier: object, asking: Package) -> str:
    fitting = [v for v in releases(name) if fits(specifier, str(v))]  # type: ignore[arg-type]
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
        if asked is not None and is_exact(asked) and not fits(asked, package.version):
            raise ConfigError(
                f"{name} {own.version} of this environment runs with {package.name}{asked} alone, "
                f"and the side asks for {package.name} {package.version}.",
                f"Name both: {name}==VERSION,{package.name}=={package.version}, or bump "
                f"{name}: --package {name}",
            )


def fingerprint(stack: Stack) -> str:
    """What tells a stack's runs from another's."""
    told = [
        f"{p.name}={shown(p)}:{'own' if p.origin is None else 'laid'}"
        for p in stack.packages.values()
    ]
    told += [f"{name}={value}" for name, value in stack.switches.items()]
    return hashlib.sha256("\n".join([str(stack.environment.python), *told]).encode()).hexdigest()
