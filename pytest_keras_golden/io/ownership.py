"""Folders of ours: only what carries our mark is ever emptied or removed.

A path may be anything: a mistyped `--keep`, a cache set to the project's own folder. So a folder
that this package may remove carries a file that it wrote there, and every other one is left alone.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError

MARK = ".keras-golden-made"
_SAYS = "pytest-keras-golden made this folder and may empty or remove it"


def is_ours(folder: Path) -> bool:
    """Whether it is a folder, no link to one, that carries our mark."""
    try:
        text = (folder / MARK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.startswith(_SAYS) and not folder.is_symlink()


def check_free(folder: Path) -> None:
    """Raise ConfigError where `claim` would refuse; touches nothing."""
    if is_ours(folder):
        return
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise ConfigError(f"{folder} is no folder.", "Name a new or an empty one.")
        return
    first = next(iter(sorted(folder.iterdir())), None)
    if first is not None:
        raise ConfigError(
            f"{folder} holds files that are not of ours ({first.name}): nothing in it is touched.",
            "Name a new or an empty folder.",
        )


def claim(folder: Path) -> Path:
    """Make the folder with its mark, or take an empty one; one of ours stays as it is.

    Raises ConfigError where it holds anything else, or cannot be written.
    """
    check_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not is_ours(folder):
            (folder / MARK).write_text(f"{_SAYS}.\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror}", "Name a folder that can be written."
        ) from error
    return folder


def remove(folder: Path) -> None:
    """Remove a folder of ours with all that is in it; leave any other alone.

    The mark goes last: what a kill leaves of the folder is still ours.
    """
    if not is_ours(folder):
        return
    for entry in folder.iterdir():
        if entry.name != MARK:
            _remove_entry(entry)
    with suppress(OSError):
        (folder / MARK).unlink()
        folder.rmdir()


def renew(folder: Path) -> Path:
    """An empty folder of ours in its place. Raises ConfigError as `claim`."""
    remove(folder)
    return claim(folder)


def _remove_entry(entry: Path) -> None:
    """One entry of a folder of ours; links are removed, never followed."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with suppress(OSError):
        entry.unlink()
