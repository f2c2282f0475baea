"""One folder that holds several overlays: a side's packages stand beside each other, as installed.

Libraries look for companions beside themselves (torch for CUDA's), and one folder on the path is
searched faster than forty.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .folder import MANIFEST, cache_root, ensure_folder

_OURS = (MANIFEST, ".keras-golden-")


def merged(parts: Sequence[Path], *, cache: Path | None = None, tag: str | None = None) -> Path:
    """The folder that holds every overlay of `parts`; the first wins where two have a file.

    Made of links to their files, so a mixture of large packages takes neither time nor space.
    """
    if len(parts) == 1:
        return parts[0]
    told = [f"{part}:{(part / MANIFEST).stat().st_mtime_ns}" for part in parts]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:20]
    place = cache_root(cache, tag) / f"side-{digest}"

    def fill(fresh: Path) -> None:
        for part in parts:
            _link(part, fresh)

    return ensure_folder(place, fill, "side", digest, [part.name for part in parts])


def _link(part: Path, target: Path) -> None:
    for folder, _, files in os.walk(part):
        below = target / Path(folder).relative_to(part)
        below.mkdir(parents=True, exist_ok=True)
        for name in files:
            if not name.startswith(_OURS) and not (below / name).exists():
                _link_file(Path(folder) / name, below / name)


def _link_file(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        # Bytecode that another process is replacing.
        return
    except OSError:
        shutil.copy2(source, target)
