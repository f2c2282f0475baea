"""One folder per package version, put first on PYTHONPATH: only that package varies.

An overlay is installed beside its final place and renamed into it under a lock, so other processes
see a whole one or none. It is a cache: one that no longer matches its manifest is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from packaging.utils import canonicalize_name

from ...errors import StackError
from ...io.ownership import claim, is_ours, remove
from ...io.usercache import user_cache, writing_cache
from ...release import order
from . import described, installer
from .installer import Interpreter
from .named import exact_version, package_name, requirement

MANIFEST = ".keras-golden-overlay.json"
_USED = ".keras-golden-used"
_PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class Overlay:
    """One cached overlay. size: bytes of the files installed; used: seconds since the epoch."""

    package: str
    version: str
    extra: tuple[str, ...]
    path: Path
    size: int
    used: float


def cache_root(cache: Path | None = None, tag: str | None = None) -> Path:
    """Where overlays of this Python live: `cache`, else $KERAS_GOLDEN_CACHE, else the user's.

    tag: of another Python.
    """
    return (user_cache() if cache is None else cache) / "overlays" / (tag or described.tag())


def ensure_overlay(
    package: str,
    version: str,
    *,
    cache: Path | None = None,
    extra: Sequence[str] = (),
    hashes: Sequence[str] = (),
    python: Interpreter | None = None,
) -> Path:
    """The folder that holds `package` in `version`, installed if it is not there or is damaged.

    extra: requirements to install beside it (neighbours that the release needs and the
    environment lacks). hashes: of the files that it may be installed from. python: another one than
    this. Safe to call from several processes at once.
    Raises StackError where the release does not exist or the index cannot be reached, ConfigError
    for what is no name, version or requirement.
    """
    named = package_name(package), exact_version(version)
    more = tuple(sorted(map(requirement, extra)))
    place = cache_root(cache, python.tag if python else None) / _folder_name(*named, more, hashes)

    def fill(fresh: Path) -> None:
        executable = python.executable if python else None
        requirements = [f"{named[0]}=={named[1]}", *more]
        installer.install(requirements, fresh, hashes=hashes, python=executable)

    return ensure_folder(place, fill, *named, more)


def ensure_folder(
    place: Path,
    fill: Callable[[Path], None],
    package: str,
    version: str,
    extra: Sequence[str] = (),
) -> Path:
    """`place`, made by `fill` where it is not there or is damaged, and marked as used."""
    if not is_whole(place):
        with locked(place):
            if not is_whole(place):
                with replacing(place) as fresh:
                    fill(fresh)
                    write_manifest(fresh, package, version, extra)
    _mark_used(place)
    return place


def _folder_name(
    package: str, version: str, extra: Sequence[str], hashes: Sequence[str] = ()
) -> str:
    parts = [f"{canonicalize_name(package)}-{version}", *extra]
    if hashes:
        digest = hashlib.sha256(" ".join(hashes).encode()).hexdigest()
        parts.append(f"checked-{digest[:12]}")
    return re.sub(r"[^A-Za-z0-9.+_-]", "_", "+".join(parts))


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Hold the lock of one overlay; the lock of a killed process is free again."""
    lock = FileLock(place.parent / f".{place.name}.lock")
    with writing_cache(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A fresh folder that becomes `place` when the block succeeds and vanishes when it does not.

    Call it under `locked(place)`: what killed processes left of the same overlay is removed.
    Raises StackError where `place` is there and no overlay.
    """
    for orphan in place.parent.glob(f"{_PARTIAL}{place.name}-*"):
        remove(orphan)
    if place.exists() and not _is_ours(place):
        raise StackError(
            f"{place} is in the way, and no overlay that this package made.",
            "Move it away, or name another cache folder: KERAS_GOLDEN_CACHE",
        )
    temporary = _temporary(place)
    try:
        fresh = claim(temporary / "new")
        yield fresh
        if place.exists():
            place.replace(temporary / "old")
        fresh.replace(place)
    finally:
        remove(temporary)


def write_manifest(folder: Path, package: str, version: str, extra: Sequence[str] = ()) -> None:
    """Note what is installed in `folder`, file by file, so that damage is seen later."""
    files = {
        str(path.relative_to(folder)): [stat.st_size, stat.st_mtime_ns]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
        for stat in [path.stat()]
    }
    manifest = {"package": package, "version": version, "extra": list(extra), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def is_whole(place: Path) -> bool:
    """Whether every file that was installed is still there as it was."""
    manifest = _manifest(place)
    return manifest is not None and all(
        _unchanged(place / name, size, mtime) for name, (size, mtime) in manifest["files"].items()
    )


def _manifest(place: Path) -> Any:
    try:
        return json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _unchanged(path: Path, size: int, mtime: int) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return stat.st_size == size and stat.st_mtime_ns == mtime


def _mark_used(place: Path) -> None:
    (place / _USED).touch()


def overlay_environment(
    folders: Iterable[Path], environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`environ` (default: this process's) with `folders` first on PYTHONPATH, in that order."""
    environment = dict(os.environ if environ is None else environ)
    kept = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, folders), *kept])
    return environment


def list_overlays(cache: Path | None = None) -> list[Overlay]:
    """Every whole overlay of this Python, by package and version."""
    root = cache_root(cache)
    folders = sorted(root.iterdir()) if root.is_dir() else []
    overlays = [_describe(folder) for folder in folders if is_whole(folder)]
    return sorted(overlays, key=lambda overlay: (overlay.package, order(overlay.version)))


def _describe(folder: Path) -> Overlay:
    manifest = _manifest(folder)
    used = folder / _USED
    return Overlay(
        package=manifest["package"],
        version=manifest["version"],
        extra=tuple(manifest["extra"]),
        path=folder,
        size=sum(size for size, _ in manifest["files"].values()),
        used=used.stat().st_mtime if used.exists() else 0.0,
    )


def prune_overlays(older_than: float, cache: Path | None = None) -> list[Path]:
    """Remove overlays not used for `older_than` seconds, damaged ones, and what kills left behind.

    Returns the folders removed. What this package did not make stays.
    """
    root = cache_root(cache)
    limit = time.time() - older_than
    gone = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if _is_ours(folder) and _stale(folder, limit):
            _remove(folder)
            gone.append(folder)
    return gone


def _is_ours(folder: Path) -> bool:
    return is_ours(folder) or (folder.is_dir() and (folder / MANIFEST).is_file())


def _remove(folder: Path) -> None:
    if folder.name.startswith(_PARTIAL):
        remove(folder)
        return
    with locked(folder):
        # A kill while it goes must leave something that is known as ours.
        temporary = _temporary(folder)
        folder.replace(temporary / "old")
        remove(temporary)


def _temporary(place: Path) -> Path:
    return claim(Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{place.name}-", dir=place.parent)))


def _stale(folder: Path, limit: float) -> bool:
    if folder.name.startswith(_PARTIAL):
        # Another process may be installing right now; only an hour of silence makes it an orphan.
        return folder.stat().st_mtime < min(limit, time.time() - 3600)
    return not is_whole(folder) or _describe(folder).used <= limit
