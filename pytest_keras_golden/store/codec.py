"""One golden as a file: written in a stream, read through a memory map, never trusted."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import CorruptGoldenError, StoreError
from . import header as metadata
from .contents import ISOLATION, REFERENCE, Contents
from .digest import blocks, digest, start
from .dtypes import native
from .layout import MAX_HEADER, MalformedError, Place, arrange, header_bytes, header_length

if TYPE_CHECKING:
    from ..records import Array, GoldenHeader, Recording

_RECORD_AGAIN = "restore it from version control, or record it again: pytest --update-goldens"


def check_storable(name: str, array: Array) -> None:
    """Raises StoreError, naming the tensor, for a name or a dtype that no golden can hold."""
    if not metadata.valid_name(name):
        raise StoreError(
            f"{name[:80]!r} is no name for a tensor: expected 1 to 512 printable characters, "
            "not beginning with '@'",
            "choose another name",
        )
    native(array.dtype, name)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A golden about to be written: its head, then `tensors` in order, which `digests` identify.

    document: the metadata as a reader will find it.
    """

    head: bytes
    tensors: Mapping[str, Array]
    digests: Mapping[str, str]
    document: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.head) + sum(array.nbytes for array in self.tensors.values())


def encode(recording: Recording) -> Encoded:
    """What to write for a recording; equal recordings give equal bytes.

    Raises StoreError for what a golden cannot hold, or a header that does not fit its tensors.
    """
    tensors = _tensors(recording)
    references = {
        record.name: digest(record.reference)
        for record in recording.records
        if record.reference is not None
    }
    places = arrange(tensors)
    text = metadata.encode(recording.header, references)
    head = header_bytes({metadata.KEY: text}, places)
    contents = _reread(head, sum(array.nbytes for array in tensors.values()))
    digests = dict(contents.digests())
    return Encoded(head, {name: tensors[name] for name in places}, digests, contents.document)


def _reread(head: bytes, body: int) -> Contents:
    """What a reader will make of it: whatever is written can be read again."""
    try:
        if len(head) > MAX_HEADER:
            raise MalformedError(f"its header has {len(head)} bytes, more than {MAX_HEADER}")
        return Contents(head[8:], body)
    except MalformedError as error:
        raise StoreError(f"this golden could not be read again: {error}") from None


def encoded_size(recording: Recording) -> int:
    """Bytes that the recording's file will have."""
    return encode(recording).size


def write(file: BinaryIO, encoded: Encoded) -> None:
    """Stream a golden into an open file; holds one block beside the tensors.

    Raises StoreError for a tensor whose bytes are not those of its digest.
    """
    file.write(encoded.head)
    for name, array in encoded.tensors.items():
        running = start(array)
        for block in blocks(array):
            running.update(block)
            file.write(block)
        if running.hexdigest() != encoded.digests[name]:
            raise StoreError(
                f"{name} has other bytes than when it was captured",
                "capture a copy: something writes into the array in place",
            )


def _tensors(recording: Recording) -> dict[str, Array]:
    """Every array of the file by its name there; what is judged is not stored for isolation too."""
    tensors: dict[str, Array] = {}
    for record in recording.records:
        check_storable(record.name, record.value)
        if record.name in tensors:
            raise StoreError(f"{record.name} was recorded twice", "give each tensor its own name")
        tensors[record.name] = record.value
        if record.reference is not None:
            tensors[REFERENCE + record.name] = record.reference
    held = {entry.digest for entry in recording.header.tensors}
    pool = {ISOLATION + key: array for key, array in recording.pool.items() if key not in held}
    return tensors | pool


class Golden:
    """A golden file that is open for reading; tensors are read when asked for.

    Everything but the tensors' bytes has been checked; `verify` checks those. Arrays are views of
    the file, read-only, and stay valid after `close`.
    """

    def __init__(self, path: Path, contents: Contents, body: memoryview) -> None:
        self.path = path
        self.header: GoldenHeader = contents.header
        self._contents = contents
        self._body = body

    @classmethod
    def open(cls, path: Path | str, root: Path | str | None = None) -> Golden:
        """Open and check a golden; with `root`, one that lies outside it by a link is refused.

        Raises CorruptGoldenError for anything but a whole golden, StoreError where it is missing
        or may not be read.
        """
        path = Path(path)
        try:
            check_inside(path, root)
            mapped, head = _map(path)
            contents = Contents(mapped[8:head], len(mapped) - head)
            return cls(path, contents, memoryview(mapped)[head:])
        except MalformedError as error:
            raise CorruptGoldenError(f"{path}: {error}", error.fix or _RECORD_AGAIN, path) from None

    @property
    def document(self) -> Mapping[str, Any]:
        """The metadata as it stands in the file."""
        return self._contents.document

    def array(self, name: str) -> Array:
        """A tensor by its name, in its own dtype."""
        return self._array(name)

    def reference(self, name: str) -> Array | None:
        """The tensor's high-precision reference; None where it has none."""
        return self._array(REFERENCE + name) if name in self._contents.references else None

    def pooled(self, key: str) -> Array:
        """An isolation tensor by its digest. Raises StoreError where the file has none."""
        return self._array(self._contents.isolated(key) or ISOLATION + key)

    @property
    def isolated(self) -> bool:
        """Whether inputs and outputs of its layer calls are stored."""
        calls = self.header.calls
        return bool(calls) and all(
            self._contents.isolated(key) for call in calls for key in (*call.inputs, *call.outputs)
        )

    def verify(self) -> list[str]:
        """Hash every tensor again; one sentence for each that is not what the metadata says."""
        problems = [
            f"{name}: its bytes do not have the digest on record"
            for name, wanted in self._contents.digests()
            if _broken(self, name, wanted)
        ]
        if self.document.get("checksum") != metadata.checksum(self.document):
            problems.append("its metadata does not have the checksum on record")
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
            raise StoreError(f"{self.path}: it has no tensor {name!r}", path=self.path)
        return _view(self.path, self._body, name, place)


def _view(path: Path, body: memoryview, name: str, place: Place) -> Array:
    flat = np.frombuffer(body[place.start : place.stop], np.uint8)
    if place.dtype == np.bool_ and flat.size and flat.max() > 1:
        raise CorruptGoldenError(f"{path}: {name!r} is bool, and has other bytes", _RECORD_AGAIN)
    return flat.view(place.dtype).reshape(place.shape)


def _broken(golden: Golden, name: str, wanted: str) -> bool:
    try:
        return digest(golden._array(name)) != wanted
    except CorruptGoldenError:
        return True


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


def _map(path: Path) -> tuple[mmap.mmap, int]:
    """The whole file, and where its tensors begin; only the first bytes are read yet."""
    try:
        # Not blocking: a pipe of a golden's name must not hang the run.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}", "check the path and its permissions", path
        ) from None
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise MalformedError("no file, but a folder or device", f"remove {path}")
        head = 8 + header_length(os.pread(number, 64, 0), status.st_size)
        return mmap.mmap(number, 0, access=mmap.ACCESS_READ), head
    finally:
        os.close(number)
