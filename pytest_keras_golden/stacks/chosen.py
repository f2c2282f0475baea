"""What a side comes to: its packages and switches, before anything is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ..errors import ConfigError
from ..release import parsed
from .environment import Environment, environment_of, this_environment
from .grammar import SideText, SourceReference
from .keras2 import family_switches, family_told
from .locks.files import read_lock
from .locks.locked import Locked
from .switches import FAMILY, KERAS, as_it_is

KEPT = frozenset({"pytest-keras-golden", "pip", "uv", "setuptools", "wheel"})
"""What compares and what installs stays the environment's own, whatever a lock says."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the index. locked: as a lock file pins it; None where the user names it."""

    locked: Locked | None = None


Origin = Release | SourceReference


@dataclass(frozen=True, slots=True)
class Package:
    """One package as a side has it. origin: None for the environment's own."""

    name: str
    version: str
    origin: Origin | None = None

    @property
    def is_named(self) -> bool:
        """Whether the user asks for this very package, and not a whole lock file."""
        if isinstance(self.origin, Release):
            return self.origin.locked is None
        return self.origin is not None


@dataclass(frozen=True, slots=True)
class Stack:
    """A side that is known, package by package. packages: by normalised name; those that nothing
    is said of are the environment's own."""

    text: str
    environment: Environment
    packages: Mapping[str, Package] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)

    def package(self, name: str) -> Package | None:
        """As this side has it; None where it is not there at all."""
        if name in self.packages:
            return self.packages[name]
        own = self.environment.installed.get(name)
        return None if own is None else Package(name, own.version)

    def with_packages(self, packages: Iterable[Package]) -> Stack:
        return replace(self, packages={package.name: package for package in packages})


def choose(
    side: SideText, package: str, version: str | None, everywhere: Sequence[tuple[str, str]] = ()
) -> Stack:
    """The stack that a side means.

    version: of the package in question, exact; None where the side says nothing of it.
    everywhere: pins of both sides. A pin stands before a lock: `uv.lock,keras==3.15.1` is the lock
    with another Keras. Raises ConfigError for pins that contradict each other, and as `read_lock`;
    StackError for another environment that cannot serve.
    """
    environment = this_environment() if side.python is None else environment_of(side.python)
    choosing = _Choosing(environment)
    for reference in side.locks:
        for locked in read_lock(reference, environment.markers).values():
            found = Package(locked.name, locked.version, Release(locked))
            choosing.add(found, str(reference), from_lock=True)
    for name, pinned in (*everywhere, *side.pins):
        choosing.add(Package(canonicalize_name(name), pinned, Release()), f"{name}=={pinned}")
    for source in side.sources:
        name = canonicalize_name(source.package)
        choosing.add(Package(name, str(source), source), str(source))
    if version is not None:
        choosing.add(Package(canonicalize_name(package), version, Release()), version, always=True)
    switches = family_switches(side, version, environment)
    return Stack(side.text, environment, choosing.packages, switches)


@dataclass(slots=True)
class _Choosing:
    environment: Environment
    packages: dict[str, Package] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)

    def add(self, package: Package, by: str, always: bool = False, from_lock: bool = False) -> None:
        """always: stand before the environment's own of the same version, too, unless that is a
        build that no index has (2.13.0+cpu). from_lock: give way to what the side names beside its
        lock."""
        name = package.name
        if name in KEPT:
            return
        known = self.packages.get(name)
        own = self.environment.installed.get(name)
        is_own = own is not None and _is_installed(package, own.version)
        if own is not None and is_own and (not always or "+" in own.version):
            package = Package(name, own.version)
        if name in self.locked and not from_lock:
            self.locked.discard(name)
            known = None
        if known is not None and not _agree(known, package):
            raise ConfigError(
                f"The side contradicts itself: {self.said[name]} means {name} {known.version}, "
                f"and {by} means {name} {package.version}.",
                "Leave one of them.",
            )
        if known is None or known.origin is None or always:
            self.packages[name] = package
            self.said[name] = by
            if from_lock:
                self.locked.add(name)


def _agree(one: Package, other: Package) -> bool:
    if isinstance(one.origin, SourceReference) or isinstance(other.origin, SourceReference):
        return one.origin == other.origin
    return _same(one.version, other.version) or _same(other.version, one.version)


def _is_installed(package: Package, installed: str) -> bool:
    is_release = not isinstance(package.origin, SourceReference)
    return is_release and _same(package.version, installed)


def _same(version: str, installed: str) -> bool:
    """As `==` of PEP 440 has it: 2.13.0 means 2.13.0+cpu as well."""
    return SpecifierSet(f"=={version}", prereleases=True).contains(installed)


def completed(stacks: Sequence[Stack]) -> list[Stack]:
    """All sides with the same packages named: those that differ, between the sides or from the
    environment, and those that the user asks for."""
    stacks = _spelled_alike(stacks)
    environments = {stack.environment.python: stack.environment for stack in stacks}
    names = dict.fromkeys(name for stack in stacks for name in stack.packages)
    if len(environments) > 1:
        every = (name for found in environments.values() for name in found.installed)
        names |= dict.fromkeys(name for name in every if name not in KEPT)
    wanted = [name for name in names if _matters(name, stacks)]
    return [_only(stack, wanted) for stack in stacks]


def _spelled_alike(stacks: Sequence[Stack]) -> list[Stack]:
    """3.5 and 3.5.0 are one release, written as the first side that has it does."""
    known: dict[tuple[str, object], str] = {}

    def spelled(package: Package) -> Package:
        if not isinstance(package.origin, Release):
            return package
        key = package.name, parsed(package.version)
        return replace(package, version=known.setdefault(key, package.version))

    return [stack.with_packages(map(spelled, stack.packages.values())) for stack in stacks]


def run_alike(stacks: Sequence[Stack]) -> list[Stack]:
    """Where one side names what runs its models, the others are run by Keras, and told so: what a
    runtime returns is compared with what Keras returns, and not with all that it computes.

    Raises ConfigError beside a side of Keras 2, which exports nothing that `run` knows.
    """
    if not any("run" in stack.switches for stack in stacks):
        return list(stacks)
    if any(FAMILY in stack.switches for stack in stacks):
        raise ConfigError(
            "run= compares exports of Keras 3, and a side of tf_keras has none.",
            "Compare tf_keras with keras first, then keras with run= of it.",
        )
    return [replace(stack, switches={"run": KERAS, **stack.switches}) for stack in stacks]


def _only(stack: Stack, names: Iterable[str]) -> Stack:
    found = (stack.package(name) for name in names)
    return stack.with_packages(package for package in found if package is not None)


def _matters(name: str, stacks: Sequence[Stack]) -> bool:
    first, *others = (stack.package(name) for stack in stacks)
    if any(other != first for other in others):
        return True
    if first is None or first.origin is None:
        return False
    # The suite has run without what the environment lacks and all sides share.
    return first.is_named or name in stacks[0].environment.installed


def shown(package: Package | None) -> str | None:
    """The version as it is told; of a source checkout or a commit where it comes from."""
    if package is None:
        return None
    if isinstance(package.origin, SourceReference):
        return str(package.origin).partition("@")[2]
    return package.version


def parts(stack: Stack, among: Sequence[Stack]) -> dict[str, str | None]:
    """Everything that tells a stack from the others: versions by package, values by switch, and
    the interpreter where they have several."""
    names = dict.fromkeys(name for other in among for name in other.packages)
    found = {name: shown(stack.package(name)) for name in names}
    switches = dict.fromkeys(name for other in among for name in other.switches)
    found |= {name: stack.switches.get(name, as_it_is(name)) for name in switches}
    pythons = {str(other.environment.python) for other in among}
    found |= {"python": str(stack.environment.python)} if len(pythons) > 1 else {}
    families = [other.switches.get(FAMILY) for other in among]
    keras = shown(stack.package("keras"))
    return family_told(found, stack.switches.get(FAMILY), keras) if any(families) else found
