"""Loaded first into an inner run, before any other plugin or conftest.py: from here on its process
is listened to, where the outer command wants evidence."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .compilations import Borrowed, borrow
from .listener import Listener

WITNESS = "KERAS_GOLDEN_WITNESS"
"""Environment variable: the folder that takes the proofs."""

SWITCHED, REFUSED = ".switched", ".refused"
"""How files in it end: switches as they were asked for and found, or why one cannot be set."""

_WANTED = "wanted"
"""The file in it that asks for evidence."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """left_out: files that are no inputs of the suite. own: folders of the run itself."""

    left_out: tuple[str, ...]
    own: tuple[str, ...]


def prepare(folder: Path, left_out: Sequence[Path], own: Sequence[Path]) -> None:
    """Ask for evidence in the folder of the proofs."""
    asked = {"left_out": list(map(str, left_out)), "own": list(map(str, own))}
    (folder / _WANTED).write_text(json.dumps(asked), encoding="utf-8")


def wanted(folder: Path) -> Wanted | None:
    """What evidence is wanted of this process, if any."""
    try:
        asked = json.loads((folder / _WANTED).read_text(encoding="utf-8"))
    except OSError:
        return None
    return Wanted(tuple(asked["left_out"]), tuple(asked["own"]))


def _borrow() -> Borrowed | None:
    folder = os.environ.get(WITNESS)
    if not folder:
        return None
    return borrow(Path(folder).parent / f"compiled-{os.getpid()}", os.environ)


def _listen() -> Listener | None:
    folder = os.environ.get(WITNESS)
    asked = wanted(Path(folder)) if folder else None
    if folder is None or asked is None:
        return None
    listener = Listener((str(Path(folder).parent), *asked.own))
    listener.start()
    return listener


compiled = _borrow()
listener = _listen()
