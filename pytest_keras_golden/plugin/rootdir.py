"""Refuses runs in which a value of ours was taken for a test path, and decided on the ini file.

pytest looks for its ini file above the test paths before it knows the options of plugins: in
`--goldens-dir DIR` it takes an existing DIR for one. Then the suite's ini file is not read, or all
node ids change, and the goldens of the suite are compared with nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ..errors import ConfigError

INI_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
MAYBE_INI_FILES = ("pyproject.toml", "tox.ini", "setup.cfg")


def demand_own_root(
    arguments: Sequence[str],
    flags: Iterable[str],
    test_paths: Sequence[Path],
    inipath: Path | None,
    working_dir: Path,
) -> None:
    """Raise ConfigError where a value behind one of our `flags` moved pytest's root.

    arguments: the command line. test_paths: what pytest collects; where there is none, it looks
    above `working_dir`. inipath: what it found.
    """
    wanted = [path.resolve() for path in test_paths] or [working_dir.resolve()]
    for flag, value in _apart(arguments, frozenset(flags)):
        taken = working_dir / value
        if taken.exists() and not _harmless(taken.resolve(), wanted, inipath, working_dir):
            raise ConfigError(
                f"{flag} {value}: pytest takes {value} for a test path when it looks for its ini "
                f"file, and {_instead(inipath)}.",
                f"Write {shlex.quote(f'{flag}={value}')}.",
            )


def _apart(arguments: Sequence[str], flags: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Flags and their values where these are arguments of their own."""
    for flag, value in pairwise(arguments):
        if flag in flags:
            yield flag, value


def _harmless(taken: Path, wanted: Sequence[Path], inipath: Path | None, working_dir: Path) -> bool:
    """Whether pytest would have come to the same root without it, as far as can be told."""
    root = inipath.parent.resolve() if inipath is not None else working_dir.resolve()
    if not all(path.is_relative_to(root) for path in [taken, *wanted]):
        return False
    return not any(_may_hold_settings(folder) for folder in _between(root, _common(wanted)))


def _common(paths: Sequence[Path]) -> Path:
    first = paths[0]
    above = (first, *first.parents)
    return next(folder for folder in above if all(path.is_relative_to(folder) for path in paths))


def _between(root: Path, folder: Path) -> Iterator[Path]:
    """`folder` and what is above it, below `root`."""
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent


def _may_hold_settings(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*INI_FILES, *MAYBE_INI_FILES))


def _instead(inipath: Path | None) -> str:
    return "found none" if inipath is None else f"found {inipath}"
