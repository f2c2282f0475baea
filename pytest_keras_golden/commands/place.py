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
        "goldens beside it, or here without one)",
    )


def goldens_dir(given: Path | None) -> Path:
    """The folder asked for, else the one that pytest would use here. Raises ConfigError."""
    folder = (Path.cwd() / given).resolve() if given is not None else usual_goldens_dir()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder", "Name the goldens folder: --goldens-dir=DIR")
    return folder


def accepted_file(given: Path | None) -> Path:
    """`golden_accepted.toml` beside the goldens folder, whether or not that is there."""
    if given is not None:
        return (Path.cwd() / given).resolve()
    return usual_goldens_dir().parent / ACCEPTED_FILE


def usual_goldens_dir() -> Path:
    """The folder that pytest would use here, whether or not it is there."""
    ini = find_ini(Path.cwd())
    # Without one pytest's rootdir serves: the folder in which it is called without arguments.
    folder = Path.cwd() if ini is None else ini.folder
    goldens = None if ini is None else ini.values.get("goldens_dir")
    return (folder / str(goldens or "goldens")).resolve()
