"""What a goldens folder holds, told from names and sizes alone."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..names import Slot
from ..release import order
from .baseline import unreadable


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """A golden that exists: `folder` is its test's, relative to the goldens folder."""

    path: Path
    folder: PurePosixPath
    slot: Slot

    @property
    def size(self) -> int:
        """Bytes on disk; of a link, the link's own."""
        return self.path.lstat().st_size


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals over a goldens folder; `versions` and `backends`: how many goldens each has."""

    tests: int
    goldens: int
    bytes: int
    versions: dict[str, int]
    backends: dict[str, int]


def list_goldens(root: Path) -> Iterator[GoldenFile]:
    """Every golden under the folder, in order of their paths; none are opened.

    Linked folders are not entered. A folder that does not exist holds none; one that cannot be
    read raises StoreError.
    """
    for folder, subfolders, files in os.walk(root, onerror=_unless_missing):
        subfolders.sort()
        place = Path(folder)
        for name in sorted(files):
            slot = Slot.parse(name)
            if slot is not None:
                yield GoldenFile(place / name, PurePosixPath(place.relative_to(root)), slot)


def stats(root: Path) -> Stats:
    """Counts and bytes of the goldens under the folder."""
    goldens = list(list_goldens(root))
    versions = Counter(golden.slot.keras for golden in goldens)
    return Stats(
        tests=len({golden.folder for golden in goldens}),
        goldens=len(goldens),
        bytes=sum(golden.size for golden in goldens),
        versions={version: versions[version] for version in sorted(versions, key=order)},
        backends=dict(sorted(Counter(golden.slot.backend for golden in goldens).items())),
    )


def superseded(root: Path, keep: int = 2) -> list[GoldenFile]:
    """Goldens older than the newest `keep` versions of the same test, backend, device, policy."""
    families: dict[object, list[GoldenFile]] = defaultdict(list)
    for golden in list_goldens(root):
        families[golden.folder, golden.slot.family].append(golden)
    return [
        golden
        for family in families.values()
        for golden in sorted(family, key=lambda golden: order(golden.slot.keras))[: -keep or None]
    ]


def oversized(root: Path, limit: int) -> list[GoldenFile]:
    """Goldens of more than `limit` bytes."""
    return [golden for golden in list_goldens(root) if golden.size > limit]


def leftovers(root: Path) -> list[Path]:
    """Temporary files that killed writers left; harmless, unless a writer is at work right now."""
    return sorted(root.rglob(".keras-*.safetensors.*.tmp"))


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise unreadable(error)
