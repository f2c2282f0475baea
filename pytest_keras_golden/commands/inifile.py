"""The ini file that pytest would read, for a command line that runs without pytest."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.toml import parse_toml


@dataclass(frozen=True, slots=True)
class PytestIni:
    """An ini file's folder and its pytest section."""

    folder: Path
    values: Mapping[str, Any]

    def lines(self, key: str) -> Sequence[str]:
        """A `linelist` setting; TOML may hold it as a list or as one text."""
        value = self.values.get(key, ())
        return value.splitlines() if isinstance(value, str) else [str(item) for item in value]


def find_ini(start: Path) -> PytestIni | None:
    """The nearest ini file with a pytest section, in `start` or above, in pytest's own order.

    Raises ConfigError where such a file cannot be parsed.
    """
    for folder in (start, *start.parents):
        for name, read in _READERS.items():
            values = _section(folder / name, read)
            if values is not None:
                return PytestIni(folder, values)
    return None


_Reader = Callable[[str], "Mapping[str, Any] | None"]


def _section(path: Path, read: _Reader) -> Mapping[str, Any] | None:
    try:
        return read(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (ValueError, configparser.Error, OSError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Correct the file.") from error


def _ini(section: str, required: bool) -> _Reader:
    def read(text: str) -> Mapping[str, Any] | None:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(text)
        if parser.has_section(section):
            return dict(parser[section])
        return None if required else {}

    return read


def _toml(*tables: str) -> _Reader:
    def read(text: str) -> Mapping[str, Any] | None:
        document = parse_toml(text)
        sections = (_table(document, table.split(".")) for table in tables)
        return next((table for table in sections if table), None)

    return read


def _table(document: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any] | None:
    table: Any = document
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else None


_READERS: Mapping[str, _Reader] = {
    "pytest.toml": _toml("pytest"),
    ".pytest.toml": _toml("pytest"),
    "pytest.ini": _ini("pytest", required=False),
    ".pytest.ini": _ini("pytest", required=False),
    "pyproject.toml": _toml("tool.pytest.ini_options", "tool.pytest"),
    "tox.ini": _ini("pytest", required=True),
    "setup.cfg": _ini("tool:pytest", required=True),
}
