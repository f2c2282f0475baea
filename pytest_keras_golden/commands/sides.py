"""Sides as a command's arguments name them, and as they can be run."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, GoldenError
from ..report.output import note

if TYPE_CHECKING:
    from ..stacks.chosen import Stack
    from ..stacks.side import Side
    from ..versions.compared.measured import Suite


def stack_of(arguments: argparse.Namespace, text: str) -> Stack:
    """What a side means, with nothing installed. Raises ConfigError for what is none."""
    from ..stacks.chosen import choose
    from ..stacks.grammar import parse_side
    from .arguments import others_of

    side = parse_side(text)
    version = None if side.version is None else one_version(arguments, side.version)
    return choose(side, arguments.package, version, others_of(arguments))


def stacks_of(arguments: argparse.Namespace, texts: Sequence[str]) -> list[Stack]:
    """As `stack_of`, with what goes along with the packages named, and told apart."""
    return settled(arguments, [stack_of(arguments, text) for text in texts])


def settled(arguments: argparse.Namespace, stacks: Sequence[Stack]) -> list[Stack]:
    """With what the packages named cannot do without, and nothing that makes no difference."""
    from ..stacks.chosen import completed, run_alike
    from ..stacks.installing import with_companions

    stacks = run_alike(stacks)
    if any("run" in stack.switches for stack in stacks):
        _demand_models(arguments.pytest_arguments)
    return completed([with_companions(stack, note) for stack in completed(stacks)])


def _demand_models(arguments: Sequence[str]) -> None:
    """Raises ConfigError where none of pytest's arguments can be a saved model. What a folder has
    in it only its collection tells."""
    from ..saved.formats import format_of

    paths = (Path(argument.partition("::")[0]) for argument in arguments)
    if not any(path.is_dir() or format_of(path) for path in paths):
        raise ConfigError(
            "run= is for saved models: a test suite runs Keras by itself.",
            "Name one behind `--`: keras-golden gate run=keras run=onnx -- model.keras",
        )


def side_of(arguments: argparse.Namespace, stack: Stack, among: Sequence[Stack]) -> Side:
    """The side that a stack comes to, installed. among: the sides that it is one of."""
    from ..stacks.installing import install

    return install(_first(stack, arguments.package), among, _label(stack))


def as_written(arguments: argparse.Namespace, text: str) -> Side:
    """A side of which nothing is known but what was typed, to be named where it cannot be had."""
    from ..stacks.grammar import is_version_range
    from ..stacks.side import Side

    return Side((), f"{arguments.package} {text}" if is_version_range(text) else text)


def at_version(
    arguments: argparse.Namespace,
    stack: Stack,
    version: str,
    along: Collection[str] = (),
    among: Sequence[Stack] | None = None,
) -> Side:
    """A side, but for the version of the package in question: only that one varies. along: packages
    that go along with it, in whatever version it asks for. among: as `side_of`; itself alone."""
    from packaging.utils import canonicalize_name

    from ..stacks.chosen import Package, Release

    name = canonicalize_name(arguments.package)
    others = [p for p in stack.packages.values() if p.name not in {name, *along}]
    varied = stack.with_packages([Package(name, version, Release()), *others])
    (made,) = settled(arguments, [varied])
    made = replace(made, text=version)
    return side_of(arguments, made, [made] if among is None else among)


def _first(stack: Stack, package: str) -> Stack:
    """The package in question leads."""
    from packaging.utils import canonicalize_name

    name = canonicalize_name(package)
    ordered = sorted(stack.packages.values(), key=lambda found: found.name != name)
    return stack.with_packages(ordered)


def _label(stack: Stack) -> str:
    """Nothing where the side is a version of the package and no more."""
    from ..stacks.grammar import is_version_range

    return "" if is_version_range(stack.text) else stack.text


def one_version(arguments: argparse.Namespace, text: str) -> str:
    from ..stacks.overlay.releases import resolve

    versions = resolve([text], arguments.package, pre=arguments.pre)
    if len(versions) != 1:
        raise ConfigError(f"{text!r} means {len(versions)} versions; one is needed.", "Name one.")
    return versions[0]


def releases_between(arguments: argparse.Namespace, good: str, bad: str) -> list[str]:
    """All releases from GOOD to BAD, both ends included, ascending."""
    from packaging.version import Version

    from ..stacks.overlay.releases import releases

    low, high = Version(good), Version(bad)
    if low == high:
        raise ConfigError(
            f"GOOD and BAD are equal: {good}.",
            "Name an older release that was good, and a newer one that is bad.",
        )
    if low > high:
        raise ConfigError(
            f"GOOD ({good}) must be older than BAD ({bad}).",
            f"For the way back ask: keras-golden gate {good} {bad}",
        )
    offered = releases(arguments.package, pre=arguments.pre)
    inside = [str(version) for version in offered if low < version < high]
    return [good, *inside, bad]


def drawing_alike(suite: Suite, stacks: Sequence[Stack]) -> Suite:
    """The suite as these sides are to run it: between backends layers draw from one stream."""
    from ..stacks.chosen import parts

    backends = {parts(stack, stacks).get("backend") for stack in stacks}
    return replace(suite, shared_draws=len(backends) > 1)


def differ(stacks: Sequence[Stack]) -> bool:
    """Whether the two locks that a pull request leaves as they were, say, come to two stacks.

    Raises ConfigError where two sides are equal as they are written, or name no lock: a suite
    against itself is no evidence.
    """
    from ..stacks.chosen import parts
    from ..stacks.grammar import parse_side

    old, new = (parts(stack, stacks) for stack in stacks)
    texts = [stack.text for stack in stacks]
    if old != new:
        return True
    if texts[0] != texts[1] and all(parse_side(text).locks for text in texts):
        return False
    raise ConfigError(
        f"The sides {texts[0]} and {texts[1]} are equal: {_told(old)}.",
        "Name two sides that differ, as in: keras-golden gate 3.14.1 3.15.1 -- tests/",
    )


def _told(parts: dict[str, str | None]) -> str:
    told = [f"{name} {value}" for name, value in parts.items() if value is not None]
    return ", ".join(told[:4]) + (f" and {len(told) - 4} more" if len(told) > 4 else "") or (
        "both are this environment"
    )


def installed_sides(
    arguments: argparse.Namespace, stacks: Sequence[Stack]
) -> tuple[list[Side], dict[str, str]]:
    """A side per stack, made side by side; and, per side that cannot be had, the reason.

    Raises what went wrong with the first, which the others are measured by.
    """
    from ..versions.inner.jobs import map_parallel

    def make(stack: Stack) -> Side | GoldenError:
        try:
            return side_of(arguments, stack, stacks)
        except GoldenError as error:
            return error

    made = map_parallel(make, stacks, arguments.jobs)
    if isinstance(made[0], GoldenError):
        raise made[0]
    missing = {
        stack.text: str(error)
        for stack, error in zip(stacks, made, strict=True)
        if isinstance(error, GoldenError)
    }
    return [side for side in made if not isinstance(side, GoldenError)], missing
