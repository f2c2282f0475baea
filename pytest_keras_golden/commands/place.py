"""Which goldens folder a command works on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from ..names import ACCEPTED_FILE
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


def accepted_file(given: Path | None) -> Path:
    """`golden_accepted.toml` beside the goldens folder, whether or not that is there."""
    if given is not None:
        return (Path.cwd() / given).resolve()
    ini = find_ini(Path.cwd())
    folder = Path.cwd() if ini is None else ini.folder
    goldens = "goldens" if ini is None else str(ini.values.get("goldens_dir") or "goldens")
    return (folder / goldens).resolve().parent / ACCEPTED_FILE


def _from_ini() -> Path:
    ini = find_ini(Path.cwd())
    if ini is None:
        raise ConfigError(
            "there is no pytest ini file here or above that would say where goldens are",
            "Name the goldens folder: --goldens-dir DIR",
        )
    return (ini.folder / str(ini.values.get("goldens_dir") or "goldens")).resolve()
