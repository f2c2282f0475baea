"""The pytest plugin of an inner run: it proves what ran, and dies with the outer process.

Loaded with `-p` by `inner` only. Writes one JSON file per process (xdist workers too) into the
folder that the environment names.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from pluggy import HookimplMarker

from .process import LIFELINE
from .proof import sightings

WITNESS = "KERAS_GOLDEN_WITNESS"
"""Environment variable: the folder that takes the proofs."""


@HookimplMarker("pytest")(tryfirst=True)
def pytest_configure(config: Any) -> None:
    # Loaded behind the plugin, so asked before it: what it refuses has been written down by then.
    if not hasattr(config, "workerinput"):
        _hold_lifeline()
    _testify("configure")


def pytest_sessionfinish() -> None:
    _testify("finish")


def _testify(moment: str) -> None:
    folder = os.environ.get(WITNESS)
    if folder:
        proof = Path(folder) / f"{os.getpid()}-{moment}.json"
        proof.write_text(json.dumps(sightings()), encoding="utf-8")


def _hold_lifeline() -> None:
    descriptor = os.environ.get(LIFELINE)
    if descriptor:
        threading.Thread(target=_wait_for_death, args=(int(descriptor),), daemon=True).start()


def _wait_for_death(descriptor: int) -> None:
    try:
        os.read(descriptor, 1)
    except OSError:
        return
    # Only an inner run leads its own group; never end a group that others belong to.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
