"""Stacks between two sides: some of the changes taken, the others not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from ..errors import StackError
from .chosen import Stack, parts
from .installing import folder
from .switches import FAMILY
from .ties import Demand, fits, requirements

_Part = TypeVar("_Part")


def mixture(old: Stack, new: Stack, taken: Collection[str]) -> Stack:
    """The old side with the changes in `taken`, by the name of package or switch, as on the new.

    Raises StackError where the sides are two environments: those cannot be mixed.
    """
    demand_mixable(old, new)
    packages = _mixed(old.packages, new.packages, taken)
    switches = _mixed(old.switches, new.switches, taken)
    return Stack(f"{len(taken)} changes", old.environment, packages, switches)


def _mixed(
    old: Mapping[str, _Part], new: Mapping[str, _Part], taken: Collection[str]
) -> dict[str, _Part]:
    sides = ((name, new if name in taken else old) for name in dict.fromkeys([*old, *new]))
    return {name: side[name] for name, side in sides if name in side}


def demand_mixable(old: Stack, new: Stack) -> None:
    if old.switches.get(FAMILY) != new.switches.get(FAMILY):
        raise StackError(
            "The sides are Keras 2 and Keras 3, which cannot be mixed.",
            "Compare one of the changes alone: backend=tensorflow on the side of Keras 3.",
        )
    if old.environment.python != new.environment.python:
        raise StackError(
            "The sides are two environments, whose packages cannot be mixed.",
            "Name locks or pins of both instead of python=, and the culprit is looked for.",
        )


def needs(old: Stack, new: Stack) -> dict[str, set[str]]:
    """Change → the changes that it cannot be had without, by what packages ask of each other.

    A new jax asks for the new jaxlib, and the old jax for the old jaxlib: they move together.
    """
    before, after = parts(old, (old, new)), parts(new, (old, new))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    asked_before, asked_after = _asked(old, changed), _asked(new, changed)
    found: dict[str, set[str]] = {name: set() for name in changed}
    for name in changed:
        for other, asked in asked_after.get(name, {}).items():
            if other in changed and not _has(old, other, asked):
                found[name].add(other)
        for other, asked in asked_before.get(name, {}).items():
            if other in changed and not _has(new, other, asked):
                # The new version of the other one breaks the old of this.
                found[other].add(name)
    return found


def _asked(stack: Stack, names: Collection[str]) -> dict[str, dict[str, Demand]]:
    packages = [stack.packages[name] for name in names if name in stack.packages]
    folders = {package.name: folder(stack.environment, package) for package in packages}
    extras: dict[str, set[str]] = {}
    while True:
        found = {
            name: requirements(name, place, stack.environment.markers, extras.get(name, ()))
            for name, place in folders.items()
        }
        before = sum(map(len, extras.values()))
        for other, asked in (item for of_one in found.values() for item in of_one.items()):
            extras.setdefault(other, set()).update(asked.extras)
        if sum(map(len, extras.values())) == before:
            return found


def _has(stack: Stack, name: str, asked: Demand) -> bool:
    """Whether a side's version of a package is what another asks for."""
    package = stack.package(name)
    return package is not None and fits(asked.versions, package.version)
