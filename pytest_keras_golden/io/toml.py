"""TOML as Python reads it, in each version that we support."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def parse_toml(text: str) -> Mapping[str, Any]:
    """Raises ValueError, with line and column."""
    # Python 3.10 has no tomllib; pytest itself brings tomli there.
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    parsed: Mapping[str, Any] = toml.loads(text)
    return parsed


def basic_string(text: str) -> str:
    """A text in quotes, as TOML escapes it."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if "\ud800" <= character <= "\udfff":
        # A byte of a file name in another encoding: TOML has no code for it.
        return "\ufffd"
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
