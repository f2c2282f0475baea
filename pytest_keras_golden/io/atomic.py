"""Files that are written whole or not at all: the one place that replaces a file by another."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import IO
from uuid import uuid4

TEMPORARY = ".tmp"
_LONGEST_STEM = 200
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def write_whole(path: Path, text: str) -> None:
    """Replace a file by one with this text, or leave it as it was; folders are made.

    A link is replaced, not followed; a pipe, a terminal or `/dev/stdout` is written to. What UTF-8
    has no bytes for (names of another encoding) is written as `\\udc80`, as JSON would. Raises
    OSError that names the file.
    """
    with _named(path), folders(path.parent), replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def append_whole(path: Path, text: str) -> None:
    """Add text at the end of a file, all of it or none. Raises OSError that names the file."""
    with _named(path), path.open("ab") as file:
        end = file.seek(0, os.SEEK_END) if file.seekable() else None
        try:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
        except OSError:
            if end is not None:
                os.ftruncate(file.fileno(), end)
            raise


@contextmanager
def folders(folder: Path, *, durable: bool = False) -> Iterator[None]:
    """The folder is there inside the block; what had to be made of it goes again where that fails.

    durable: each new entry survives a power cut.
    """
    made: list[Path] = []
    try:
        for missing in reversed(_missing(folder)):
            if _is_made(missing):
                made.append(missing)
            if durable:
                sync(missing.parent)
        yield
    except BaseException:
        # Another writer may have filled them by now: then they stay.
        with suppress(OSError):
            for own in reversed(made):
                own.rmdir()
        raise


def _is_made(folder: Path) -> bool:
    """Whether it was made here, and not by another process meanwhile."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return False
    return True


def _missing(folder: Path) -> list[Path]:
    """The folder and those around it, as far as there is none."""
    every = (folder, *folder.parents)
    return list(takewhile(lambda place: not place.is_dir(), every))


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """An open file that takes the place of `path` when the block succeeds, and else vanishes.

    durable: it survives a power cut too. Raises OSError that names `path`.
    """
    if _is_stream(path):
        with _named(path), path.open("wb") as file:
            yield file
        return
    temporary = path.with_name(f".{_stem(path)}.{uuid4().hex[:12]}{TEMPORARY}")
    try:
        with _named(path):
            with _create(temporary, path) as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def sync(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder survive a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _create(path: Path, instead_of: Path) -> IO[bytes]:
    """A new file with the permissions of the old one, else those that the umask leaves."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with suppress(OSError):
        old = instead_of.lstat()
        if stat.S_ISREG(old.st_mode):
            os.fchmod(number, stat.S_IMODE(old.st_mode))
    return os.fdopen(number, "wb")


def _is_stream(path: Path) -> bool:
    """What can only be written to: replacing it would take it from everybody else."""
    if str(path.absolute()).startswith(_STREAMS):
        return True
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _stem(path: Path) -> str:
    return os.fsdecode(os.fsencode(path.name)[:_LONGEST_STEM])


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of writing carry no file name, and those of a temporary file another one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
