"""Drift that somebody looked at and accepted, as `golden_accepted.toml` says it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..io.strict import FieldError, shown
from ..io.toml import basic_string, parse_toml
from ..io.typed import reader
from .changes import Change

TABLE = "accepted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How big it may be at most. own_k, own_rel_l2: the layer's change on the old side's inputs;
    k, rel_l2: any tensor of the tests that is beyond its tolerance."""

    own_k: float | None = None
    own_rel_l2: float | None = None
    k: float | None = None
    rel_l2: float | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One change of one layer. changes: what made it. note: of a change without a size, what it
    is."""

    changes: tuple[Change, ...]
    layer: str
    tests: tuple[str, ...]
    verdict: str
    at_most: Bounds
    reason: str
    date: str
    cause: str | None = None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return told | {
            "changes": [change.to_json() for change in self.changes],
            "tests": list(self.tests),
            "at_most": bounds(self.at_most),
        }


# -- the file -------------------------------------------------------------------------------


def load(path: Path) -> tuple[Acceptance, ...]:
    """What the file accepts; nothing where there is none.

    Raises ConfigError that names the file, the field and the fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", _FIX) from error
    try:
        return tuple(_entries(parse_toml(text)))
    except FieldError as error:
        raise ConfigError(f"{path}: {error}", _FIX) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML: {error}", _FIX) from error


_FIX = "Correct it, or remove the entry and accept the drift again: keras-golden accept-drift"


def _entries(document: Mapping[str, Any]) -> Iterator[Acceptance]:
    _demand_known(document, (TABLE,), "")
    entries = document.get(TABLE, [])
    if not isinstance(entries, list):
        raise FieldError(f"is {shown(entries)}: expected [[{TABLE}]]", TABLE)
    for place, entry in enumerate(entries):
        try:
            yield _entry(entry)
        except FieldError as error:
            raise error.within(f"{TABLE}[{place}]") from None


def _entry(entry: Any) -> Acceptance:
    given = _plain(entry)
    read: Acceptance = reader(Acceptance)(given)
    _demand_known(given, [field.name for field in fields(Acceptance)], ".")
    _demand_known(given["at_most"], [field.name for field in fields(Bounds)], ".at_most.")
    for place, change in enumerate(given["changes"]):
        _demand_known(change, [field.name for field in fields(Change)], f".changes[{place}].")
    for field in ("changes", "tests", "layer", "reason"):
        if not getattr(read, field):
            raise FieldError("is empty", f".{field}")
    for name, bound in bounds(read.at_most).items():
        if not 0 <= bound < math.inf:
            raise FieldError(f"is {bound}: expected a finite number from 0 on", f".at_most.{name}")
    return read


def _plain(value: Any) -> Any:
    """As JSON would hold it: TOML has dates of its own."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else value


def _demand_known(given: Mapping[str, Any], known: Sequence[str], at: str) -> None:
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        hint = did_you_mean(unknown, known)
        raise FieldError(f"is unknown. {hint}Expected {', '.join(known)}", f"{at}{unknown}")


def written(entry: Acceptance) -> str:
    """The entry as text that `load` reads."""
    changes = ", ".join(_inline(change.to_json()) for change in entry.changes)
    tests = "".join(f"\n    {basic_string(nodeid)}," for nodeid in entry.tests)
    lines = [
        f"[[{TABLE}]]",
        f"changes = [{changes}]",
        f"layer = {basic_string(entry.layer)}",
        f"verdict = {basic_string(entry.verdict)}",
        *([f"cause = {basic_string(entry.cause)}"] if entry.cause else []),
        *([f"note = {basic_string(entry.note)}"] if entry.note else []),
        f"at_most = {_inline(bounds(entry.at_most))}",
        f"reason = {basic_string(entry.reason)}",
        f"date = {entry.date}",
        f"tests = [{tests}\n]",
    ]
    return "\n".join(lines) + "\n"


def _inline(table: Mapping[str, Any]) -> str:
    pairs = (
        f"{key} = {basic_string(value) if isinstance(value, str) else value}"
        for key, value in table.items()
        if value is not None
    )
    return f"{{ {', '.join(pairs)} }}"


def bounds(of: Bounds) -> dict[str, float]:
    """Those that are set, by name."""
    named = ((field.name, getattr(of, field.name)) for field in fields(Bounds))
    return {name: bound for name, bound in named if bound is not None}
