"""Outcome logs (`--golden-log`) read back: the border behind which every value has its type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.strict import FieldError
from ..outcomes import RunLog, checked_log, log_from_json


def read_log(path: Path) -> RunLog:
    """Raises ConfigError, which names the file and the field, for anything but a log."""
    return log_from_json(read_document(path))


def read_document(path: Path) -> Mapping[str, Any]:
    """The log as its JSON, checked. Raises as `read_log`."""
    try:
        return checked_log(path.read_bytes())
    except OSError as error:
        problem = error.strerror or str(error)
    except FieldError as error:
        problem = str(error)
    raise ConfigError(
        f"{path} is no log of golden tests: {problem}",
        "Name a file that pytest --golden-log=FILE of this version wrote.",
    )
