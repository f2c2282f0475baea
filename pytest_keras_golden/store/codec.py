"""One golden as a file, read through a memory map and never trusted."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptGoldenError, StoreError
from ..io.strict import cut, shown
from .contents import ISOLATION, REFERENCE, SUMS, Contents
from .digest import digest
from .layout import MalformedError, Span, header_length

if TYPE_CHECKING:
    from ..records import Array, GoldenHeader

_MOVE = "move it out of the goldens folder"
_RECORD_AGAIN = "restore it from version control, or record it again: pytest --update-goldens"


class Golden:
    """A golden file that is open for reading; tensors are read when asked for.

    The metadata has been checked; a tensor's bytes are hashed when it is first asked for, so that
    damaged ones never judge, and what nobody asks for stays unread until `verify`. Arrays are views
    of the file, read-only, and stay valid after `close`.
    """

    def __init__(self, path: Path, contents: Contents, body: memoryview) -> None:
        self.path = path
        self.header: GoldenHeader = contents.header
        self._contents = contents
        self._body = body
        self._whole: set[str] = set()

    @classmethod
    def open(cls, path: Path | str, root: Path | str | None = None) -> Golden:
        """Open and check a golden; with `root`, one that lies outside it by a link is refused.

        Raises CorruptGoldenError for anything but a whole golden, StoreError where it is missing
        or may not be read.
        """
        path = Path(path)
        try:
            check_inside(path, root)
            mapped, head = _map(path, "name a golden" if root is None else _MOVE)
            contents = Contents(mapped[8:head], len(mapped) - head)
            return cls(path, contents, memoryview(mapped)[head:])
        except MalformedError as error:
            raise CorruptGoldenError(f"{path}: {error}", error.fix or _RECORD_AGAIN, path) from None

    @property
    def document(self) -> Mapping[str, Any]:
        """The metadata as it stands in the file."""
        return self._contents.document

    def array(self, name: str) -> Array:
        """A tensor by its name, in its own dtype. Raises CorruptGoldenError where it is damaged."""
        return self._array(name)

    def reference(self, name: str) -> Array | None:
        """The tensor's high-precision reference; None where it has none. Raises as `array`."""
        return self._array(REFERENCE + name) if name in self._contents.references else None

    def sums(self, name: str) -> Array | None:
        """Sums over all elements of a tensor of which a sample is kept; None of others. Raises as
        `array`."""
        return self._array(SUMS + name) if SUMS + name in self._contents.digests else None

    def pooled(self, key: str) -> Array:
        """An isolation tensor by its digest. Raises as `array`, StoreError where there is none."""
        return self._array(self._contents.isolated(key) or ISOLATION + key)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name."""
        return name in self._contents.digests

    def held(self, name: str, key: str) -> Array | None:
        """The tensor of that name if its digest is `key`, its bytes neither read nor checked yet:
        for whom has the same bytes already."""
        if self._contents.digests.get(name) != key:
            return None
        return _view(self._body, self._contents.places[name])

    @property
    def isolated(self) -> bool:
        """Whether inputs and outputs of its layer calls are stored."""
        calls = self.header.calls
        return bool(calls) and all(
            self._contents.isolated(key) for call in calls for key in call.keys
        )

    def arrays(self) -> dict[str, Array]:
        """Every array of the file by its name there. Raises as `array`."""
        return {name: self._array(name) for name in self._contents.digests}

    def verify(self) -> list[str]:
        """Hash every tensor; one sentence for each that is not what the metadata says."""
        problems = []
        for name in self._contents.digests:
            try:
                self._array(name)
            except CorruptGoldenError as error:
                problems.append(error.problem.removeprefix(f"{self.path}: "))
        return problems

    def close(self) -> None:
        """Give the file back; arrays that were handed out keep it mapped."""
        with suppress(BufferError):
            self._body.release()

    def __enter__(self) -> Golden:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _array(self, name: str) -> Array:
        place = self._contents.places.get(name)
        if place is None:
            raise StoreError(f"{self.path}: it has no tensor {shown(name)}", path=self.path)
        array = _view(self._body, place)
        if name not in self._whole:
            self._refuse_damage(name, array)
            self._whole.add(name)
        return array

    def _refuse_damage(self, name: str, array: Array) -> None:
        problem = _damage(array, self._contents.digests[name])
        if problem is None:
            return
        version = cut(str(self.header.stack.get("keras")), 40)
        raise CorruptGoldenError(
            f"{self.path}: {name}: {problem}",
            "restore it from version control, or record it again "
            f"under Keras {version}: pytest --update-goldens",
            self.path,
        )


def _view(body: memoryview, place: Span) -> Array:
    flat = np.frombuffer(body[place.start : place.stop], np.uint8)
    return flat.view(place.dtype).reshape(place.shape)


def _damage(array: Array, wanted: str) -> str | None:
    if digest(array) != wanted:
        return "its bytes do not have the digest on record"
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        return "it is bool, and has other bytes"
    return None


def check_inside(path: Path, root: Path | str | None) -> None:
    """Raises MalformedError where links lead from `root` to outside of it."""
    if root is None:
        return
    # Unlike Path.resolve, this raises nothing for links that lead in a circle.
    target, folder = Path(os.path.realpath(path)), Path(os.path.realpath(root))
    if not target.is_relative_to(folder):
        raise MalformedError(
            f"it leads to {target}, outside {folder}", "replace the link with the file itself"
        )


def _map(path: Path, fix: str) -> tuple[mmap.mmap, int]:
    """The whole file, and where its tensors begin; only the first bytes are read yet."""
    try:
        # Not blocking: a pipe of a golden's name must not hang the run.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}", "check the path and its permissions", path
        ) from None
    except ValueError as error:
        raise StoreError(f"{shown(str(path))} is no name of a file: {error}") from None
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise MalformedError("no file, but a folder or device", fix)
        head = 8 + header_length(os.pread(number, 64, 0), status.st_size)
        return mmap.mmap(number, 0, access=mmap.ACCESS_READ), head
    finally:
        os.close(number)
