"""The safetensors container: where each tensor's bytes lie in a file.

Format: eight bytes little-endian header length, a JSON header padded with spaces to a multiple of
eight, then the tensors' bytes without gaps (https://github.com/huggingface/safetensors#format).

Written here and not by the library, which copies every tensor that it reads and puts metadata in no
fixed order: a golden is mapped and read in part, each against its digest, and one run gives one
sequence of bytes. What a gate carries over is read whole and once: there the library does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..io.strict import FieldError, cut, parse_object, shown
from .dtypes import CODES, DTYPES, native

MAX_HEADER = 32 << 20
"""Bytes of JSON that are parsed at most: some 50,000 tensors."""
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**58
_LFS_POINTER = b"version https://git-lfs"


class MalformedError(ValueError):
    """The bytes are no golden, in bounded words. `fix` overrides the usual advice."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(cut(problem))
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Span:
    """Where a tensor lies: `start` and `stop` count bytes from the end of the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


def arrange(tensors: Mapping[str, Any]) -> dict[str, Span]:
    """Places without gaps, every tensor aligned to its item size; the same names, dtypes and
    shapes always give the same order (by item size, then name)."""
    places, stop = {}, 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array, start = tensors[name], stop
        stop = start + array.nbytes
        places[name] = Span(native(array.dtype, name), array.shape, start, stop)
    return places


def header_bytes(metadata: Mapping[str, str], places: Mapping[str, Span]) -> bytes:
    """Length and header, ready to be followed by the tensors in the order of `places`."""
    listed = {
        name: {
            "dtype": CODES[place.dtype],
            "shape": list(place.shape),
            "data_offsets": [place.start, place.stop],
        }
        for name, place in places.items()
    }
    text = json.dumps(
        {"__metadata__": dict(metadata), **listed}, separators=(",", ":"), ensure_ascii=False
    ).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def header_length(prefix: bytes, size: int) -> int:
    """Bytes of JSON, from a file's first bytes and its size. Raises MalformedError."""
    if prefix.startswith(_LFS_POINTER):
        raise MalformedError("a git-LFS pointer, not the file itself", "git lfs pull")
    if size < 8 or len(prefix) < 8:
        raise MalformedError(f"only {size} bytes: truncated, or no safetensors file")
    length = int.from_bytes(prefix[:8], "little")
    if length > size - 8:
        raise MalformedError(
            f"its header should have {length} bytes, the file has {size}: "
            "truncated, or no safetensors file"
        )
    if length > MAX_HEADER:
        raise MalformedError(f"its header has {length} bytes, more than {MAX_HEADER}")
    return length


def parse(header: bytes, body: int) -> tuple[dict[str, str], dict[str, Span]]:
    """Metadata and places from a header's JSON; `body` is the number of bytes after it.

    Every dtype, shape and offset is checked: no gap, no overlap, nothing outside the file.
    Raises MalformedError.
    """
    entries = strict_json(header, "its header")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise MalformedError("its metadata is no mapping of texts")
    places = {name: _place(name, entry) for name, entry in entries.items()}
    _check_cover(places, body)
    return metadata, places


def strict_json(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object of sane depth without repeated keys or NaN. Raises MalformedError, which
    begins with `what`."""
    try:
        return parse_object(text)
    except FieldError as error:
        raise MalformedError(f"{what} {error}") from None


def _place(name: str, entry: Any) -> Span:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise MalformedError(f"{shown(name)}: expected dtype, shape and data_offsets")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        known = ", ".join(DTYPES)
        raise MalformedError(f"{shown(name)}: dtype {shown(entry['dtype'])} is none of {known}")
    shape = checked_shape(entry["shape"], f"{shown(name)}: shape")
    offsets = _sizes(entry["data_offsets"], f"{shown(name)}: data_offsets")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise MalformedError(
            f"{shown(name)}: offsets {shown(offsets)} do not fit {dtype.name} {shown(shape)}"
        )
    return Span(dtype, shape, offsets[0], offsets[1])


def checked_shape(value: Any, what: str) -> tuple[int, ...]:
    """A shape that numpy accepts. Raises MalformedError, which begins with `what`."""
    shape = _sizes(value, what)
    # numpy multiplies the sizes of an empty array too, and refuses what overflows.
    if len(shape) > _MAX_DIMENSIONS or math.prod(filter(None, shape)) >= _MAX_BYTES:
        raise MalformedError(f"{what} {shown(value)} is larger than any array")
    return shape


def _sizes(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        raise MalformedError(f"{what} {shown(value)} is no list of sizes")
    return tuple(value)


def _check_cover(places: Mapping[str, Span], body: int) -> None:
    stop = 0
    for name, place in _by_place(places):
        if place.start != stop:
            kind = "overlaps another tensor" if place.start < stop else "leaves a gap before it"
            raise MalformedError(f"{shown(name)} {kind}: starts at {place.start}, expected {stop}")
        stop = place.stop
    if stop != body:
        what = "truncated" if body < stop else "bytes after the last tensor"
        raise MalformedError(f"its tensors end at {stop} of {body} bytes: {what}")


def _by_place(places: Mapping[str, Span]) -> Iterable[tuple[str, Span]]:
    return sorted(places.items(), key=lambda item: (item[1].start, item[1].stop))
