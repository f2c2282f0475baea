"""Which goldens folder a command works on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from .inifile import find_ini


def add_goldens_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--goldens-dir",
        metavar="DIR",
        type=Path,
        help="the goldens folder (default: goldens_dir of the nearest pytest ini file, else "
        "goldens beside it)",
    )


def goldens_dir(given: Path | None) -> Path:
    """The folder asked for, else the one that pytest would use here. Raises ConfigError."""
    folder = (Path.cwd() / given).resolve() if given is not None else _from_ini()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder", "Name the goldens folder: --goldens-dir DIR")
    return folder


def _from_ini() -> Path:
    ini = find_ini(Path.cwd())
    if ini is None:
        raise ConfigError(
            "there is no pytest ini file here or above that would say where goldens are",
            "Name the goldens folder: --goldens-dir DIR",
        )
    return (ini.folder / str(ini.values.get("goldens_dir") or "goldens")).resolve()
