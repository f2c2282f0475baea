"""Proof that a process runs the overlay it was meant to run, and not something that shadows it.

A `pythonpath` setting, the working directory or an editable install can put another copy first.
Imports nothing of the packages it looks at.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TypedDict

from ...errors import StackError

EXPECT = "KERAS_GOLDEN_EXPECT"
"""Environment variable: JSON object of import name → folder the package must come from."""


class Sighting(TypedDict):
    """Where one import name leads in this process; `loaded`: it has been imported already."""

    file: str | None
    folder: str
    loaded: bool


def expectation(folders: dict[str, Path]) -> dict[str, str]:
    """The environment entry under which `check_expected` demands `folders` (by import name)."""
    return {EXPECT: json.dumps({name: str(folder) for name, folder in folders.items()})}


def check_expected() -> None:
    """Raise StackError where a package does not come from the folder that EXPECT demands.

    Looks at the imported module, else at what an import would find. No-op without EXPECT.
    """
    for name, seen in sightings().items():
        if not comes_from_overlay(seen):
            raise StackError(
                f"{name} comes from {seen['file']}, not from its overlay {seen['folder']}: "
                f"something shadows the version under test.",
                "Look for it in pytest's `pythonpath` setting, the working directory "
                f"({Path.cwd()}), a conftest.py that changes sys.path, or an editable install.",
            )


def comes_from_overlay(seen: Sighting) -> bool:
    """Whether the file seen lies in the overlay's folder (links resolved)."""
    if seen["file"] is None:
        return False
    return Path(seen["file"]).resolve().is_relative_to(Path(seen["folder"]).resolve())


def sightings() -> dict[str, Sighting]:
    """What this process has or would import for every package that EXPECT names."""
    expected: dict[str, str] = json.loads(os.environ.get(EXPECT, "{}"))
    return {name: _see(name, folder) for name, folder in expected.items()}


def _see(name: str, folder: str) -> Sighting:
    loaded = name in sys.modules
    file = getattr(sys.modules[name], "__file__", None) if loaded else _would_import(name)
    return {"file": file, "folder": folder, "loaded": loaded}


def _would_import(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None
