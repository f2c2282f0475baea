"""Which lock file a change moves, and the revision before it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from ..errors import ConfigError
from ..io.git import said_by_git

KINDS = (
    *(("uv.lock",), ("poetry.lock",), ("pdm.lock",), ("pixi.lock",)),
    ("pylock.toml", "pylock.*.toml"),
    ("requirements*.txt", "requirements/*.txt"),
)
"""Names of lock files, those that say most first: a list of requirements beside a lock is often
exported from it."""

_NAME_IT = "Name it: keras-golden ci --lock FILE -- tests/"


def available(base: str) -> str:
    """The revision's commit, fetched where the clone is too shallow to have it.

    Raises ConfigError where it cannot be had.
    """
    if base.startswith("-"):
        raise ConfigError(f"{base!r} is no revision.")
    found = _commit(base)
    if found is None:
        fetched = said_by_git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", base)
        # What an earlier fetch left there is another revision.
        found = None if fetched is None else _commit(base) or _commit("FETCH_HEAD")
    if found is None:
        raise ConfigError(
            f"git has no revision {base!r}, and `git fetch origin` does not bring it.",
            "Check out with the whole history (fetch-depth: 0), or name another: --base REVISION",
        )
    return found


def usual_base() -> str:
    """Outside of a service: where this branch left the remote's main one, or what it follows."""
    for other in ("origin/HEAD", "origin/main", "origin/master", "@{upstream}"):
        found = said_by_git("merge-base", "HEAD", other)
        if found:
            return found.decode().strip()
    raise ConfigError(
        "No revision to compare with: this is no git clone with a remote.",
        "Name one: keras-golden ci --base REVISION -- tests/",
    )


def moved_lock(base: str) -> Path | None:
    """The lock file that differs from the one at `base`; None where none does.

    Raises ConfigError where several of one kind do.
    """
    changed = [name for name in _changed(base) if Path(name).is_file()]
    return _one_of(changed, "Several lock files changed")


def named(lock: Path) -> Path:
    """A lock file by its path from here, as git and the names of comments have it.

    Raises ConfigError where there is none.
    """
    if not lock.is_file():
        raise ConfigError(f"{lock} is no file.", _NAME_IT)
    return Path(os.path.relpath(lock))


def is_lock(name: str) -> bool:
    """Whether a path is a lock file's by its name."""
    return any(_matches(name, glob) for patterns in KINDS for glob in patterns)


def was_there(base: str, lock: Path) -> bool:
    """Whether the lock existed at that revision."""
    return said_by_git("cat-file", "-e", f"{base}:./{lock.as_posix()}") is not None


def only_lock() -> Path | None:
    """The lock file of this folder, of the kind that says most."""
    tracked = _names(said_by_git("ls-files", "-z") or b"")
    here = [name for name in tracked if "/" not in name or name.startswith("requirements/")]
    return _one_of(here, "Several lock files are here")


def _one_of(names: Sequence[str], problem: str) -> Path | None:
    """The one of the kind that says most. Raises ConfigError where that has several."""
    for patterns in KINDS:
        found = [name for name in names if any(_matches(name, glob) for glob in patterns)]
        if len(found) > 1:
            raise ConfigError(f"{problem}: {', '.join(found)}.", _NAME_IT)
        if found:
            return Path(found[0])
    return None


def _matches(name: str, glob: str) -> bool:
    """In any folder: a glob with a slash is of the last two parts."""
    parts = PurePosixPath(name).parts
    return fnmatchcase("/".join(parts[-1 - glob.count("/") :]), glob)


def _changed(base: str) -> list[str]:
    """Files that differ between a revision and the working tree, relative to this folder."""
    found = said_by_git("diff", "--name-only", "--relative", "-z", base, "--")
    if found is None:
        raise ConfigError(f"git cannot compare this folder with {base}.")
    return _names(found)


def _names(listed: bytes) -> list[str]:
    return [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]


def _commit(revision: str) -> str | None:
    found = said_by_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return None if found is None else found.decode().strip()
