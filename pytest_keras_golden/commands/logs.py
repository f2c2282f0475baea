"""Outcome logs (`--golden-log`) read back for the commands that work on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..outcomes import TestOutcome, test_from_json
from ..records import SCHEMA

_FIX = "Name a file that pytest --golden-log FILE wrote."


def read_log(path: Path) -> Mapping[str, Any]:
    """A log document of schema 1. Raises ConfigError for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", _FIX) from error
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}", _FIX) from error
    if not isinstance(document, dict) or not isinstance(document.get("tests"), list):
        raise ConfigError(f"{path} is no log of golden tests", _FIX)
    if document.get("schema") != SCHEMA:
        raise ConfigError(
            f"{path} has schema {document.get('schema')!r}, this version reads {SCHEMA}",
            "Read it with the version of pytest-keras-golden that wrote it.",
        )
    return document


def tests_of(documents: Iterable[Mapping[str, Any]]) -> list[TestOutcome]:
    """All tests of some logs, in their order. Raises ConfigError on entries that are none."""
    try:
        return [test_from_json(entry) for document in documents for entry in document["tests"]]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ConfigError(f"a test of the log cannot be read: {error}", _FIX) from error
