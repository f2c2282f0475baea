"""Where the inner runs of one command lie, so that an interrupted one goes on where it stopped.

The folder's name is a digest of all that decides the numbers: suite, arguments, environment,
overlays. Whatever changes there, the next command starts anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from .overlay import cache_root

_SUITE = frozenset(
    {".py", ".ini", ".toml", ".cfg", ".safetensors", ".h5", ".keras", ".npz", ".npy"}
)
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
_PREFIXES = ("KERAS", "JAX_", "XLA_", "TF_", "TORCH_", "OMP_", "MKL_", "PYTEST_", "PYTHONPATH")
_FORGOTTEN_AFTER = 7 * 86400.0


@contextmanager
def workspace(
    identity: Sequence[Any], folder: Path, *, kept: Path | None = None, cache: Path | None = None
) -> Iterator[Path]:
    """The folder for the inner runs of a command that `identity` (JSON-able) tells apart.

    folder: of the suite. kept: use this folder, and leave it when done. Otherwise the folder goes
    when the block succeeds and stays when it is interrupted. Two equal commands at once never
    share a folder.
    """
    if kept is not None:
        chosen = kept.resolve()
        chosen.mkdir(parents=True, exist_ok=True)
        _start_anew_if_changed(chosen, _fingerprint(identity, folder))
        yield chosen
        return
    root = cache_root(cache).parent.parent / "runs"
    root.mkdir(parents=True, exist_ok=True)
    _forget_old(root)
    chosen = root / _fingerprint(identity, folder)
    lock = filelock.FileLock(root / f".{chosen.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        with tempfile.TemporaryDirectory(dir=root, prefix="beside-") as beside:
            yield Path(beside)
        return
    with lock:
        chosen.mkdir(exist_ok=True)
        yield chosen
        shutil.rmtree(chosen, ignore_errors=True)


def deciding_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that may change a number, or what a run of pytest does."""
    return {key: value for key, value in environ.items() if key.startswith(_PREFIXES)}


def _start_anew_if_changed(chosen: Path, fingerprint: str) -> None:
    mark = chosen / ".fingerprint"
    if mark.exists() and mark.read_text(encoding="utf-8") == fingerprint:
        return
    for name in ("runs", "goldens", "weights"):
        shutil.rmtree(chosen / name, ignore_errors=True)
    mark.write_text(fingerprint, encoding="utf-8")


def _fingerprint(identity: Sequence[Any], folder: Path) -> str:
    parts = [
        list(identity),
        [str(folder), sys.executable, sys.version],
        sorted(deciding_environment(os.environ).items()),
        [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in _deciding_files(folder)],
    ]
    text = json.dumps(parts, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _deciding_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    site = [Path(entry) for entry in sys.path if entry.endswith("site-packages")]
    for place in site:
        yield place, place.stat()
    for root in (folder, Path(__file__).parents[1]):
        for path in _suite_files(root):
            yield path, path.stat()


def _suite_files(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = sorted(_walked(Path(place), folders))
        yield from (Path(place, name) for name in sorted(names) if Path(name).suffix in _SUITE)


def _walked(place: Path, folders: Iterable[str]) -> Iterator[str]:
    for name in folders:
        environment = (place / name / "pyvenv.cfg").exists()
        if not (name.startswith(".") or name in _SKIPPED or environment):
            yield name


def _forget_old(root: Path) -> None:
    limit = time.time() - _FORGOTTEN_AFTER
    for place in root.iterdir():
        try:
            stale = place.is_dir() and place.stat().st_mtime < limit
        except OSError:
            continue
        if stale:
            shutil.rmtree(place, ignore_errors=True)
