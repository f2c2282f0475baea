"""A recording as the bytes of a golden file, written in a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ..errors import StoreError
from ..io.strict import shown
from . import header as metadata
from .contents import ISOLATION, REFERENCE, SUMS, Contents
from .digest import blocks, digest, start
from .dtypes import native
from .layout import MAX_HEADER, MalformedError, arrange, header_bytes

if TYPE_CHECKING:
    from ..records import Array, Recording
    from .codec import Golden


def check_storable(name: str, array: Array) -> None:
    """Raises StoreError, naming the tensor, for a name or a dtype that no golden can hold."""
    if not metadata.valid_name(name):
        raise StoreError(
            f"{shown(name)} is no name for a tensor: expected 1 to 512 printable characters, "
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
    return _encoded(metadata.encode(recording.header, references), tensors)


def encode_again(
    golden: Golden, reason: str | None = None, detects: Mapping[str, float | None] | None = None
) -> Encoded:
    """What to write for a golden read back: all that it holds, with another reason if one is given.

    detects: tensor → smallest relative drift that its tolerance detects, where that was left out.

    Keys of its metadata that this version does not know stay, so nothing is lost on the way.
    Raises CorruptGoldenError where it is damaged, StoreError for a reason it cannot hold.
    """
    found = detects or {}
    document = {
        **golden.document,
        "reason": reason or golden.document.get("reason"),
        "tensors": [
            {**entry, "detects": found.get(entry["name"], entry.get("detects"))}
            for entry in golden.document["tensors"]
        ],
    }
    return _encoded(metadata.text_of(document), golden.arrays())


def _encoded(text: str, tensors: Mapping[str, Array]) -> Encoded:
    places = arrange(tensors)
    head = header_bytes({metadata.KEY: text}, places)
    contents = _reread(head, sum(array.nbytes for array in tensors.values()))
    ordered = {name: tensors[name] for name in places}
    return Encoded(head, ordered, contents.digests, contents.document)


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


def write(file: IO[bytes], encoded: Encoded) -> None:
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
                "capture a copy: something writes into the array in place; if nothing does, the "
                "golden that holds the same tensor is damaged: keras-golden verify",
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
        if record.sums is not None:
            tensors[SUMS + record.name] = record.sums
    held = {entry.digest for entry in recording.header.tensors if entry.sample is None}
    pool = {ISOLATION + key: array for key, array in recording.pool.items() if key not in held}
    return tensors | pool
