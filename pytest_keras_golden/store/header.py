"""A golden's metadata as canonical JSON, and back from the JSON of strangers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any, get_args

import xxhash

from ..outcomes import to_json
from ..records import (
    SCHEMA,
    GoldenHeader,
    Kind,
    LayerCall,
    Mode,
    Observer,
    OutermostCall,
    Source,
    TensorEntry,
    Tolerance,
)
from .layout import MalformedError, checked_shape, strict_json

KEY = "keras_golden"
"""The one metadata key: several would come out of safetensors in changing order."""

_DIGEST = re.compile(r"[0-9a-f]{32}")
_MAX_NAME = 512
_MAX_DEPTH = 12
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NEVER_COMPARED = ("stack", "reason", "checksum")


def encode(header: GoldenHeader, references: Mapping[str, str]) -> str:
    """Canonical JSON: equal headers give equal text. `references`: tensor name → digest."""
    document = to_json(header) | {"references": dict(references)}
    return _canonical(document | {"checksum": checksum(document)})


def checksum(document: Mapping[str, Any]) -> str:
    """xxh3-128 over the canonical JSON of everything else in the document."""
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return xxhash.xxh3_128_hexdigest(_canonical(rest).encode("utf-8", "surrogatepass"))


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def says_the_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two documents differ in nothing but the stack and the reason.

    A noise floor that was not measured again does not contradict the one on record.
    """
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
    document = strict_json(metadata[KEY])
    schema = document.get("schema")
    if schema != SCHEMA or type(schema) is not int:
        raise MalformedError(
            f"its schema is {str(schema)[:40]!r}, this version reads {SCHEMA}",
            "install the version of pytest-keras-golden that wrote it, "
            "or record it again: pytest --update-goldens",
        )
    return document


def decode(document: Mapping[str, Any]) -> tuple[GoldenHeader, dict[str, str]]:
    """Header and reference digests; every value checked. Raises MalformedError.

    Keys that this version does not know are ignored: later ones may add some.
    """
    _check_texts(document, _MAX_DEPTH)
    header = GoldenHeader(
        stack=_get(document, "stack", dict),
        mode=_choice(document, "mode", get_args(Mode)),
        tensors=tuple(_entry(item) for item in _objects(document, "tensors")),
        weights=_texts(document, "weights"),
        inputs=_texts(document, "inputs"),
        outermost=tuple(_outermost(item) for item in _objects(document, "outermost")),
        calls=tuple(_call(item) for item in _objects(document, "calls")),
        isolation=_get(document, "isolation", str),
        reason=_optional(document, "reason", str),
        observer=_choice(document, "observer", (None, *get_args(Observer))),
    )
    names = [entry.name for entry in header.tensors]
    if len(set(names)) != len(names):
        raise MalformedError("its metadata names a tensor twice")
    references = {name: _digest(text) for name, text in _texts(document, "references").items()}
    if not set(references) <= set(names):
        raise MalformedError("its metadata has a reference of a tensor that it does not have")
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


def _entry(item: Mapping[str, Any]) -> TensorEntry:
    name = item.get("name")
    if not isinstance(name, str) or not valid_name(name):
        raise MalformedError(f"{str(name)[:80]!r} is no name of a tensor")
    return TensorEntry(
        name=name,
        order=_count(item, "order"),
        kind=_choice(item, "kind", get_args(Kind)),
        dtype=_get(item, "dtype", str),
        shape=checked_shape(item.get("shape"), f"{name!r}: shape"),
        precision=_get(item, "precision", str),
        judged=_get(item, "judged", bool),
        source=_choice(item, "source", get_args(Source)),
        digest=_digest(item.get("digest")),
        rms=_number(item, "rms") or 0.0,
        detects=_number(item, "detects"),
        noise=_number(item, "noise"),
        tolerance=_tolerance(item),
    )


def _call(item: Mapping[str, Any]) -> LayerCall:
    return LayerCall(
        name=_get(item, "name", str),
        layer=_get(item, "layer", str),
        inputs=tuple(map(_digest, _get(item, "inputs", list))),
        outputs=tuple(map(_digest, _get(item, "outputs", list))),
        precision=_get(item, "precision", str),
        call=_get(item, "call", str),
    )


def _outermost(item: Mapping[str, Any]) -> OutermostCall:
    return OutermostCall(
        name=_get(item, "name", str),
        path=_get(item, "path", str),
        outputs=_texts(item, "outputs"),
        updates=_texts(item, "updates"),
        draws=_texts(item, "draws"),
    )


def _tolerance(item: Mapping[str, Any]) -> Tolerance | None:
    found = _optional(item, "tolerance", dict)
    if found is None:
        return None
    numbers = {field.name: _number(found, field.name) for field in fields(Tolerance)}
    if any(number is not None and not 0 <= number < float("inf") for number in numbers.values()):
        raise MalformedError(f"tolerance {str(found)[:80]} is none")
    return Tolerance(**numbers)


def _number(item: Mapping[str, Any], key: str) -> float | None:
    value = item.get(key)
    if value is None:
        return None
    if value in ("inf", "-inf", "nan") or type(value) in (int, float):
        with suppress(OverflowError):
            return float(value)
    raise MalformedError(f"{key} {str(value)[:80]!r} is no number")


def _count(item: Mapping[str, Any], key: str) -> int:
    value: int = _get(item, key, int)
    if isinstance(value, bool) or value < 0:
        raise MalformedError(f"{key} {value!r} is no count")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise MalformedError(f"{str(value)[:80]!r} is no xxh3-128 digest")
    return value


def _texts(document: Mapping[str, Any], key: str) -> dict[str, str]:
    found: dict[str, str] = _get(document, key, dict)
    if not all(isinstance(value, str) for value in found.values()):
        raise MalformedError(f"its {key} are no mapping of texts")
    return found


def _objects(document: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
    found: list[Any] = _get(document, key, list)
    if not all(isinstance(item, dict) for item in found):
        raise MalformedError(f"its {key} are no list of objects")
    return found


def _choice(item: Mapping[str, Any], key: str, choices: Iterable[Any]) -> Any:
    value = item.get(key)
    if not isinstance(value, (str, type(None))) or value not in choices:
        raise MalformedError(f"{key} {str(value)[:80]!r} is none of {', '.join(map(str, choices))}")
    return value


def _get(item: Mapping[str, Any], key: str, kind: type) -> Any:
    value = item.get(key)
    if not isinstance(value, kind):
        raise MalformedError(f"{key} {str(value)[:80]!r} is no {kind.__name__}")
    return value


def _optional(item: Mapping[str, Any], key: str, kind: type) -> Any:
    return None if item.get(key) is None else _get(item, key, kind)


def _check_texts(value: Any, depth: int) -> None:
    """No control characters, which would reach terminals and reports, and no deep nesting."""
    if depth == 0:
        raise MalformedError("its metadata is nested too deeply")
    if isinstance(value, str) and (match := _CONTROL.search(value)):
        raise MalformedError(f"its metadata holds the control character {match[0]!r}")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    for item in value if isinstance(value, list) else ():
        _check_texts(item, depth - 1)
