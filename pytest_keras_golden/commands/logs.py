"""Outcome logs (`--golden-log`) read back: the border behind which every value has its type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..outcomes import RunLog, log_from_json
from ..strict import FieldError, parse_object


def read_log(path: Path) -> RunLog:
    """Raises ConfigError, which names the file and the field, for anything but a log."""
    return _read(path)[1]


def read_document(path: Path) -> Mapping[str, Any]:
    """The log as its JSON, checked as by `read_log`."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Mapping[str, Any], RunLog]:
    try:
        document = parse_object(path.read_bytes())
        return document, log_from_json(document)
    except OSError as error:
        problem = error.strerror or str(error)
    except FieldError as error:
        problem = str(error)
    raise ConfigError(
        f"{path} is no log of golden tests: {problem}",
        "Name a file that pytest --golden-log FILE of this version wrote.",
    )
