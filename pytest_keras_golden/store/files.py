"""Golden files on disk: locked, atomic, durable writes; removal; verification."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import BaseFileLock, FileLock, Timeout

from ..errors import CorruptGoldenError, StoreError
from ..io.atomic import TEMPORARY, folders, replacing
from ..io.strict import cut
from ..names import Slot
from .codec import Golden, check_inside
from .encoding import Encoded, encode, write
from .header import KEY, says_the_same
from .layout import MalformedError, header_length

if TYPE_CHECKING:
    from ..records import Recording

_LOCK_SECONDS = 300
_CACHE_FIX = (
    "make the cache folder writable, or choose another: "
    "cache_dir, or KERAS_GOLDEN_CACHE under -p no:cacheprovider"
)
_SLOT_KEYS = ("keras", "backend", "device", "dtype_policy")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


def save(
    path: Path,
    recording: Recording,
    lock_dir: Path,
    root: Path | None = None,
    *,
    durable: bool = True,
) -> bool:
    """Write a golden unless the file holds the same already, every byte; whether it was written.

    A reader, at any moment and whatever is killed, sees the old file or the new one, whole.
    Differences in the stack or the reason alone write nothing. A damaged golden is replaced.
    durable: it survives a power cut too.
    Raises StoreError for what cannot be stored or written, for a file that never was a golden (a
    git-LFS pointer, another program's), or (with `root`) a folder outside it.
    """
    return put(path, encode(recording), lock_dir, root, durable=durable)


def put(
    path: Path, encoded: Encoded, lock_dir: Path, root: Path | None = None, *, durable: bool = True
) -> bool:
    """`save` for what is encoded already."""
    with _store_errors(path), _locked(path, lock_dir):
        check_inside(path.parent, root)
        if _holds(path, encoded.document):
            return False
        with folders(path.parent, durable=durable):
            _clear_temporaries(path)
            with replacing(path, durable=durable) as file:
                write(file, encoded)
    return True


def remove(path: Path, root: Path | None = None) -> None:
    """Remove a golden, and the folders that this leaves empty, up to `root`."""
    with _store_errors(path):
        path.unlink()
        _clear_temporaries(path)
        remove_empty_folders(path.parent, root)


def remove_empty_folders(folder: Path, root: Path | None = None) -> None:
    """Remove the folder and its parents as long as they are empty; `root` itself stays."""
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def verify_file(path: Path, root: Path | None = None) -> list[str]:
    """Everything that is wrong with a golden, its tensors' bytes included; empty if whole."""
    try:
        with Golden.open(path, root) as golden:
            return golden.verify() + misplaced(path, golden.header.stack)
    except StoreError as error:
        return [error.problem.removeprefix(f"{path}: ")]


def claims_to_be_golden(path: Path) -> bool:
    """Whether a file says of itself that it is a golden, whole or not: by its name, or by the
    metadata in its header. A file that cannot be read says nothing."""
    if Slot.parse(path.name) is not None:
        return True
    try:
        with path.open("rb") as file:
            length = header_length(file.read(64), path.stat().st_size)
            file.seek(8)
            return f'"{KEY}"'.encode() in file.read(length)
    except (OSError, MalformedError):
        return False


def misplaced(path: Path, stack: Mapping[str, Any]) -> list[str]:
    """A golden under another stack's name would be compared with the wrong runs."""
    slot = Slot.parse(path.name)
    if slot is None:
        return ["its name is no golden's"]
    told = dict(zip(_SLOT_KEYS, (slot.keras, *slot.family), strict=True))
    return [
        f"its name says {key} {value}, its metadata {cut(str(stack[key]), 100)}"
        for key, value in told.items()
        if key in stack and stack[key] != value
    ]


def _holds(path: Path, document: Mapping[str, Any]) -> bool:
    if path.is_symlink():
        return False
    try:
        with Golden.open(path, path.parent) as golden:
            # A file that is to stay must be whole: else no update would ever mend it.
            return says_the_same(golden.document, document) and not golden.verify()
    except CorruptGoldenError as error:
        if "--update-goldens" not in error.fix:
            # A folder, a git-LFS pointer, another program's file: not ours to replace.
            raise
        return False
    except StoreError:
        return False


def _clear_temporaries(path: Path) -> None:
    """What killed writers of this file left behind; called under its lock."""
    for entry in path.parent.iterdir():
        if entry.name.startswith(f".{path.name}.") and entry.name.endswith(TEMPORARY):
            entry.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, lock_dir: Path) -> Iterator[None]:
    """One writer per golden; 256 lock files serve them all, since filelock leaves its files."""
    name = sha256(os.path.realpath(path).encode("utf-8", "surrogateescape")).hexdigest()[:2]
    file = lock_dir / f"{name}.lock"
    lock = FileLock(file)
    with _store_errors(lock_dir, _CACHE_FIX):
        lock_dir.mkdir(parents=True, exist_ok=True)
        # Opening a lock may create or empty a file: never one that a link of others leads to.
        check_inside(file, lock_dir.parent)
        _acquire(lock, path)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, path: Path) -> None:
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise StoreError(
            f"{path}: another process has held its lock for {_LOCK_SECONDS} s",
            "end that process",
            path,
        ) from None


@contextmanager
def _store_errors(path: Path, fix: str = "") -> Iterator[None]:
    try:
        yield
    except MalformedError as error:
        raise StoreError(f"{path}: {error}", error.fix, path) from None
    except OSError as error:
        where = error.filename or path
        raise StoreError(f"{where}: {error.strerror or error}", _fix(error, fix), path) from error


def _fix(error: OSError, otherwise: str) -> str:
    if error.errno in _NO_SPACE:
        return "free some space, or select less; nothing was changed"
    if otherwise:
        return otherwise
    if error.errno in _NO_PERMISSION:
        return "make the folder writable, or choose another one: --goldens-dir"
    if error.errno in _IN_THE_WAY:
        return "move what is in the way, or choose another folder: --goldens-dir"
    return "check the path and the disk, or choose another folder: --goldens-dir"
