"""Which goldens a command is about, and how they are named and measured in its output."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, nearest

if TYPE_CHECKING:
    from ..store.inventory import GoldenFile


def add_patterns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="only goldens whose path below the goldens folder matches, or contains, one of these",
    )


def selected(goldens: Iterable[GoldenFile], patterns: Sequence[str]) -> list[GoldenFile]:
    return [golden for golden in goldens if matches(name_of(golden), patterns)]


def chosen(goldens: Iterable[GoldenFile], patterns: Sequence[str], root: Path) -> list[GoldenFile]:
    """As `selected`. Raises ConfigError where patterns match nothing: they were mistyped."""
    every = list(goldens)
    found = selected(every, patterns)
    if patterns and not found:
        near = nearest(patterns[0], [name_of(golden) for golden in every], cutoff=0.3)
        raise ConfigError(
            f"no golden below {root} matches {' or '.join(patterns)}",
            f"The nearest is {near[0]}" if near else "keras-golden list shows what is there.",
        )
    return found


def name_of(golden: GoldenFile) -> str:
    """The path below the goldens folder, as it is typed."""
    return (golden.folder / golden.path.name).as_posix()


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether any of the patterns is a glob of the name, or a part of it; no pattern takes all."""
    return not patterns or any(fnmatchcase(name, p) or p in name for p in patterns)


def by_test(goldens: Iterable[GoldenFile]) -> dict[str, list[GoldenFile]]:
    """Test folder → its goldens, oldest version first within a backend, device and policy."""
    from ..release import order

    grouped: dict[str, list[GoldenFile]] = {}
    for golden in goldens:
        grouped.setdefault(golden.folder.as_posix(), []).append(golden)
    for group in grouped.values():
        group.sort(key=lambda golden: (golden.slot.family, order(golden.slot.keras)))
    return grouped


def bytes_text(size: float) -> str:
    """`1.4 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
