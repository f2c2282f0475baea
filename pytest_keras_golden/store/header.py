"""A golden's metadata as canonical JSON, and back from the JSON of strangers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import xxhash

from ..io.strict import FieldError, shown
from ..io.typed import reader
from ..outcomes import to_json, unlike_a_stack
from ..records import SCHEMA, GoldenHeader, Sample, TensorEntry
from ..tolerance import EPSILON
from .layout import MalformedError, checked_shape, strict_json

KEY = "keras_golden"
"""The one metadata key: several would come out of safetensors in changing order."""

_DIGEST = re.compile(r"[0-9a-f]{32}")
_MAX_NAME = 512
_LONGEST_KEY = 1000
_LONGEST = 10_000
_MAX_DEPTH = 12
_MOST_STEPS = 1 << 62
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NEVER_COMPARED = ("stack", "reason", "checksum", "programs")


def encode(header: GoldenHeader, references: Mapping[str, str]) -> str:
    """Canonical JSON: equal headers give equal text. `references`: tensor name → digest."""
    document = to_json(header) | {"references": dict(references)}
    for entry in document["tensors"]:
        # So that the goldens of before there were any stay as they are.
        if entry["sample"] is None:
            del entry["sample"]
    if not document["programs"]:
        del document["programs"]
    return text_of(document)


def text_of(document: Mapping[str, Any]) -> str:
    """A document as canonical JSON, with a checksum that fits."""
    return _canonical({**document, "checksum": checksum(document)})


def checksum(document: Mapping[str, Any]) -> str:
    """xxh3-128 over the canonical JSON of everything else in the document."""
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return xxhash.xxh3_128_hexdigest(_canonical(rest).encode("utf-8", "surrogatepass"))


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def says_the_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two documents differ in nothing but the stack, the reason and the programs: a release
    of jax may make other ones of the same numbers. The first ones ever are news.

    A noise floor that was not measured again does not contradict the one on record.
    """
    if new.get("programs") and not old.get("programs"):
        return False
    noise = {entry["name"]: entry.get("noise") for entry in old["tensors"]}
    tensors = [
        entry | {"noise": noise.get(entry["name"])} if entry["noise"] is None else entry
        for entry in new["tensors"]
    ]
    return _compared(old) == _compared({**new, "tensors": tensors})


def _compared(document: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in document.items() if key not in _NEVER_COMPARED}
    return _canonical(kept)


def read_document(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON under the metadata key, its schema checked. Raises MalformedError."""
    if KEY not in metadata:
        raise MalformedError(
            f"a safetensors file, but no golden: it has no {KEY!r} metadata",
            "move it out of the goldens folder",
        )
    document = strict_json(metadata[KEY], "its metadata")
    schema = document.get("schema")
    if schema != SCHEMA or type(schema) is not int:
        raise MalformedError(
            f"its schema is {shown(schema)}, this version reads {SCHEMA}",
            "install the version of pytest-keras-golden that wrote it, "
            "or record it again: pytest --update-goldens",
        )
    return document


def decode(document: Mapping[str, Any]) -> tuple[GoldenHeader, dict[str, str]]:
    """Header and reference digests; every value checked. Raises MalformedError.

    Keys that this version does not know are ignored: later ones may add some.
    """
    _check_texts(document, _MAX_DEPTH)
    try:
        header: GoldenHeader = reader(GoldenHeader)(document)
        references: dict[str, str] = reader(Mapping[str, str])(document.get("references"))
    except FieldError as error:
        raise MalformedError(f"in its metadata, {error}") from None
    names = [entry.name for entry in header.tensors]
    if len(set(names)) != len(names):
        raise MalformedError("its metadata names a tensor twice")
    if not set(references) <= set(names):
        raise MalformedError("its metadata has a reference of a tensor that it does not have")
    _check_stack(header.stack)
    for entry in header.tensors:
        _check_entry(entry)
    called = (key for call in header.calls for key in call.keys)
    for key in (*references.values(), *called):
        _check_digest(key)
    return header, references


def valid_name(name: object) -> bool:
    """Printable, at most 512 characters, and not one of the container's own names."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _MAX_NAME
        and name.isprintable()
        and not name.startswith("@")
        and name != "__metadata__"
    )


def _check_stack(stack: Mapping[str, Any]) -> None:
    problem = unlike_a_stack(stack)
    if problem:
        raise MalformedError(f"in its metadata, {problem}")


def _check_entry(entry: TensorEntry) -> None:
    if not valid_name(entry.name):
        raise MalformedError(f"{shown(entry.name)} is no name of a tensor")
    checked_shape(list(entry.shape), f"{shown(entry.name)}: shape")
    if entry.order < 0:
        raise MalformedError(f"{shown(entry.name)}: order {entry.order} is no count")
    _check_digest(entry.digest)
    if entry.sample is not None:
        _check_sample(entry, entry.sample)
    numbers = entry.tolerance.to_json() if entry.tolerance is not None else {}
    if not all(0 <= number < math.inf for number in numbers.values()):
        raise MalformedError(f"{shown(entry.name)}: tolerance {numbers} is none")


def _check_sample(entry: TensorEntry, sample: Sample) -> None:
    powers = all(0 < step <= _MOST_STEPS and not step & (step - 1) for step in sample.steps)
    fits = sample.shape == entry.shape and len(sample.steps) == len(entry.shape) and powers
    # Of integers each counts, and no sum stands for them.
    if not fits or entry.dtype not in EPSILON:
        raise MalformedError(f"{shown(entry.name)}: {shown(str(sample.steps))} is no sample of it")
    _check_digest(sample.digest)
    _check_digest(sample.sums)


def _check_digest(text: str) -> None:
    if not _DIGEST.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no xxh3-128 digest")


def _check_texts(value: Any, depth: int) -> None:
    """No control characters, which would reach terminals and reports, and no deep nesting."""
    if depth == 0:
        raise MalformedError("its metadata is nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, _LONGEST_KEY)
            _check_texts(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item, depth - 1)


def _check_text(text: str, longest: int = _LONGEST) -> None:
    if len(text) > longest:
        raise MalformedError(f"its metadata has a text of {len(text)} characters: {shown(text)}")
    match = _CONTROL.search(text)
    if match:
        raise MalformedError(f"its metadata holds the control character {match[0]!r}")
