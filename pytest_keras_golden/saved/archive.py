"""A `.keras` archive of strangers: its members, read whole after their names and sizes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import SavedModelError

LARGEST_TEXT = 64 << 20
"""Bytes of a configuration or a vocabulary."""

MOST_MEMBERS = 100_000
FREE = 64 << 20
MOST_TIMES = 50
"""Beyond `FREE` bytes, an archive may hold this many times its own size: weights hardly shrink."""

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
ASSETS = "assets/"


@dataclass(frozen=True, slots=True)
class Archive:
    """config, metadata: JSON texts. weights: an HDF5 file. assets: path below `assets/` → bytes."""

    config: bytes
    metadata: bytes
    weights: bytes
    assets: Mapping[str, bytes] = field(default_factory=dict)


def read_archive(path: Path) -> Archive:
    """Raises SavedModelError for what is no whole, harmless `.keras` archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            _demand_harmless(archive, path)
            return Archive(
                config=_text(archive, CONFIG, path),
                metadata=_text(archive, METADATA, path),
                weights=_member(archive, WEIGHTS, path),
                assets={
                    entry.filename.removeprefix(ASSETS): _text(archive, entry.filename, path)
                    for entry in archive.infolist()
                    if entry.filename.startswith(ASSETS) and not entry.is_dir()
                },
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # The last two: a method of compression that nobody has, a password.
        raise bad(path, f"is no whole .keras archive ({error})") from None
    except OSError as error:
        raise bad(path, f"cannot be read ({error.strerror or error})") from None


def bad(path: Path, what: str) -> SavedModelError:
    return SavedModelError(
        f"{path.name} {what}", "Save the model again, or fetch the file again.", path
    )


def _demand_harmless(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise bad(path, f"has {len(entries):,} members, more than any model")
    names = [entry.filename for entry in entries]
    astray = next(filter(_leads_out, names), None)
    if astray is not None:
        raise bad(path, f"has a member that leads out of it: {astray[:80]!r}")
    if len(set(names)) < len(names):
        raise bad(path, "has two members of one name")
    total = sum(entry.file_size for entry in entries)
    if total > FREE and total > MOST_TIMES * path.stat().st_size:
        raise bad(path, f"unpacks to {total:,} bytes, {total // path.stat().st_size} times its own")


def _leads_out(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name.startswith("/") or "\\" in name or ":" in name or ".." in parts


def _text(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if name in archive.namelist() and archive.getinfo(name).file_size > LARGEST_TEXT:
        raise bad(path, f"has a {name} of {archive.getinfo(name).file_size:,} bytes")
    return _member(archive, name, path)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if name not in archive.namelist():
        raise bad(path, f"has no {name}")
    # Reading it whole checks its sum.
    return archive.read(name)
