"""The environment that a side's packages stand in: this one, or another Python's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import ConfigError, StackError
from .overlay import described
from .overlay.installer import Interpreter


@dataclass(frozen=True, slots=True)
class Installed:
    """A package as an environment has it. folder: what it is imported from."""

    version: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Environment:
    """What a Python has. tag: what compiled packages must be made for; markers: as in PEP 508."""

    python: Path
    tag: str
    markers: Mapping[str, str]
    installed: Mapping[str, Installed]

    @property
    def interpreter(self) -> Interpreter:
        return Interpreter(str(self.python), self.tag)

    @property
    def is_this(self) -> bool:
        return str(self.python) == sys.executable


@lru_cache(maxsize=1)
def this_environment() -> Environment:
    return _environment(described.described())


def environment_of(python: Path) -> Environment:
    """Raises ConfigError where there is no such Python, StackError where it lacks what runs there:
    pytest, and this plugin."""
    try:
        done = subprocess.run(
            [str(python), "-I", described.__file__],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        found = _environment(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"python={python}: no Python answers there ({type(error).__name__}).",
            "Name its interpreter: python=.venv-old/bin/python",
        ) from error
    lacking = [name for name in _NEEDED if name not in found.installed]
    if lacking:
        raise StackError(
            f"{python} lacks {' and '.join(lacking)}, which the suite needs there.",
            f"Install them: {python} -m pip install {' '.join(lacking)}",
        )
    return found


_NEEDED = ("pytest", "pytest-keras-golden", "keras")


def _environment(told: Mapping[str, object]) -> Environment:
    installed = told["installed"]
    markers = told["markers"]
    if not isinstance(installed, Mapping) or not isinstance(markers, Mapping):
        raise ValueError("no description of an environment")
    return Environment(
        python=Path(str(told["executable"])),
        tag=str(told["tag"]),
        markers={str(key): str(value) for key, value in markers.items()},
        installed={
            str(name): Installed(str(version), Path(folder))
            for name, (version, folder) in installed.items()
        },
    )
