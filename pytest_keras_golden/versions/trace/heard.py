"""What a process read: files and folders, and the state that they were in."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any

State = tuple[int, int, int] | None
"""Size, mtime in ns and inode of a file; None where there is none."""

C_DATA = (".h5", ".hdf5", ".keras", ".npz", ".npy", ".safetensors", ".bin", ".pt", ".tfrecord")
"""What libraries in C read, often beside a file that Python opens."""


@dataclass(slots=True)
class Heard:
    """What was read: path → state when it was first opened. listed: folder → the names in it.

    beside: folder → states of the files in it that C code may have read. written: paths that this
    process made, changed or removed. unproven: why nothing can be proven of the run, if so.
    """

    files: dict[str, State] = field(default_factory=dict)
    listed: dict[str, list[str] | None] = field(default_factory=dict)
    beside: dict[str, dict[str, State]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    unproven: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "listed": self.listed,
            "beside": self.beside,
            "written": sorted(self.written),
            "unproven": self.unproven,
        }


def state(path: str) -> State:
    """Size, mtime and inode of the file that `path` leads to; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def names(folder: str) -> list[str] | None:
    """What is in a folder, but for Python's caches; None where there is none."""
    try:
        entries = os.listdir(folder)
    except (OSError, ValueError):
        return None
    return sorted(name for name in entries if name != "__pycache__")


def data_beside(folder: str) -> dict[str, State]:
    """The states of the files in a folder that are of a kind which C code reads."""
    beside = (name for name in names(folder) or () if name.endswith(C_DATA))
    return {name: state(os.path.join(folder, name)) for name in beside}
