"""Where the inner runs of one command lie, so that an interrupted one goes on where it stopped.

The folder's name is a digest of the command alone. Whether a finished run in it may be used again
is for `evidence` to prove.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from ...errors import ConfigError
from ...io.ownership import claim, is_ours, remove
from ...io.usercache import writing_cache
from ...stacks.overlay.folder import cache_root
from ..trace.compilations import FOLDER

RUNS = "runs"
PARTS = (RUNS, "goldens", "weights", FOLDER)
_FORGOTTEN_AFTER = 7 * 86400.0
_COMMAND = ".command"


@contextmanager
def workspace(
    identity: Sequence[Any], folder: Path, *, kept: Path | None = None, cache: Path | None = None
) -> Iterator[Path]:
    """The folder for the inner runs of a command that `identity` (JSON-able) tells apart.

    folder: of the suite. kept: use this folder, and leave it when done. Otherwise the folder goes
    when the block succeeds and stays when it is interrupted. Two equal commands at once never
    share a folder. Raises ConfigError, with nothing touched, where `kept` holds files of others.
    """
    if kept is not None:
        with _kept(kept.resolve(), _fingerprint(identity, folder)) as chosen:
            yield chosen
        return
    root = cache_root(cache).parent.parent / "runs"
    with writing_cache(root):
        root.mkdir(parents=True, exist_ok=True)
    _forget_old(root)
    chosen = root / _fingerprint(identity, folder)
    lock = filelock.FileLock(root / f".{chosen.name}.lock")
    try:
        with writing_cache(root):
            lock.acquire(timeout=0)
    except filelock.Timeout:
        with _beside(root) as beside:
            yield beside
        return
    with lock:
        claim(chosen)
        claim(chosen / RUNS)
        yield chosen
        remove(chosen)


@contextmanager
def _kept(chosen: Path, fingerprint: str) -> Iterator[Path]:
    claim(chosen)
    lock = filelock.FileLock(chosen / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ConfigError(
            f"Another command is at work in {chosen}.", "Wait for it, or name another folder."
        ) from None
    with lock:
        _start_anew_if_another(chosen, fingerprint)
        claim(chosen / RUNS)
        yield chosen


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    chosen = claim(Path(tempfile.mkdtemp(dir=root, prefix="beside-")))
    claim(chosen / RUNS)
    try:
        yield chosen
    finally:
        remove(chosen)


def _start_anew_if_another(chosen: Path, fingerprint: str) -> None:
    command = chosen / _COMMAND
    if command.exists() and command.read_text(encoding="utf-8") == fingerprint:
        return
    for name in PARTS:
        remove(chosen / name)
    command.write_text(fingerprint, encoding="utf-8")


def _fingerprint(identity: Sequence[Any], folder: Path) -> str:
    text = json.dumps([list(identity), str(folder), sys.executable, sys.version], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _forget_old(root: Path) -> None:
    limit = time.time() - _FORGOTTEN_AFTER
    for place in root.iterdir():
        try:
            stale = place.stat().st_mtime < limit
        except OSError:
            continue
        if stale and is_ours(place):
            remove(place)
