"""A golden's head as a whole: metadata and container must tell the same story."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..io.strict import shown
from ..records import TensorEntry
from . import header as metadata
from .layout import MalformedError, parse

REFERENCE = "@reference/"
ISOLATION = "@isolation/"
SUMS = "@sums/"
"""How names of auxiliary tensors begin; tensors of a test never begin with "@"."""


class Contents:
    """Places and metadata from the bytes of a header; `body` is the number of bytes after it.

    digests: each tensor's name in the file, and the digest that its bytes must have.
    Raises MalformedError unless both name the same tensors with the same dtypes and shapes.
    """

    def __init__(self, head: bytes, body: int) -> None:
        texts, self.places = parse(head, body)
        self.document = metadata.read_document(texts)
        self.header, self.references = metadata.decode(self.document)
        self.aliases = {e.digest: e.name for e in self.header.tensors if e.sample is None}
        self._check_tensors()
        self._check_auxiliary()
        self.digests = self._digests()
        # Last: what is wrong with a file is better said by what does not fit than by this.
        if self.document.get("checksum") != metadata.checksum(self.document):
            raise MalformedError("its metadata does not have the checksum on record")

    def _check_tensors(self) -> None:
        for entry in self.header.tensors:
            place = self.places.get(entry.name)
            if place is None:
                raise MalformedError(f"{shown(entry.name)} is in its metadata, but not in the file")
            shape = entry.sample.kept if entry.sample else entry.shape
            if (place.dtype.name, place.shape) != (entry.dtype, shape):
                raise MalformedError(
                    f"{shown(entry.name)} is {place.dtype.name} {place.shape} in the file, "
                    f"{entry.dtype} {shape} in its metadata"
                )
            if entry.sample is not None:
                self._check_sums(entry)
        for name in self.references:
            reference = self.places.get(REFERENCE + name)
            if reference is None or reference.shape != self.places[name].shape:
                problem = "is missing, or of another shape"
                raise MalformedError(f"the reference of {shown(name)} {problem}")

    def _check_sums(self, entry: TensorEntry) -> None:
        sums, name = self.places.get(SUMS + entry.name), shown(entry.name)
        dtype = "float64" if entry.dtype == "float64" else "float32"
        if sums is None or len(sums.shape) != 1 or sums.dtype.name != dtype:
            raise MalformedError(f"the sums of {name} are missing, or no vector of {dtype}")
        size = sums.shape[0]
        if size == 0 or size & (size - 1) or size >= math.prod(entry.shape):
            raise MalformedError(f"{name} has {size} sums, no power of two below its elements")

    def _check_auxiliary(self) -> None:
        called = {key for call in self.header.calls for key in call.keys}
        expected = {entry.name for entry in self.header.tensors}
        expected |= {REFERENCE + name for name in self.references}
        expected |= {ISOLATION + key for key in called}
        expected |= {SUMS + entry.name for entry in self.header.tensors if entry.sample}
        unknown = sorted(set(self.places) - expected)
        if unknown:
            raise MalformedError(f"{shown(unknown[0])} is in the file, but not in its metadata")
        missing = sorted(key for key in called if not self.isolated(key))
        if missing and any(name.startswith(ISOLATION) for name in self.places):
            raise MalformedError(f"an isolation tensor is missing: {missing[0]}")

    def isolated(self, key: str) -> str | None:
        """Under which name the array with this digest is stored."""
        name = ISOLATION + key
        return name if name in self.places else self.aliases.get(key)

    def _digests(self) -> Mapping[str, str]:
        """Each tensor's name in the file and the digest that its bytes must have."""
        isolated = (name for name in self.places if name.startswith(ISOLATION))
        sampled = {entry.name: entry.sample for entry in self.header.tensors if entry.sample}
        return {
            **{entry.name: entry.digest for entry in self.header.tensors},
            **{name: sample.digest for name, sample in sampled.items()},
            **{SUMS + name: sample.sums for name, sample in sampled.items()},
            **{REFERENCE + name: key for name, key in self.references.items()},
            **{name: name.removeprefix(ISOLATION) for name in isolated},
        }
