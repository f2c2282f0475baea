"""Finished inner runs on disk: kept with their evidence, taken again only where it still holds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...outcomes import checked_log

RUN = "run.json"
FILES = ("log.json", "output.txt", "evidence.json.gz", RUN)
"""Moved into the place of a run in this order: `run.json`, there last, tells that it is whole."""


def keep(attempt: Path, place: Path, facts: Mapping[str, Any]) -> None:
    """Take over what an attempt left. facts: what is to be known of the run beside its files."""
    told = {**facts, "at": time.strftime("%Y-%m-%d %H:%M")}
    (attempt / RUN).write_text(json.dumps(told), encoding="utf-8")
    place.mkdir(parents=True, exist_ok=True)
    forget(place)
    for name in FILES:
        if (attempt / name).exists():
            (attempt / name).replace(place / name)


def load(place: Path) -> dict[str, Any] | None:
    """Facts, `log` and `output` of a whole run in `place`; None where there is none."""
    try:
        facts: dict[str, Any] = json.loads((place / RUN).read_text(encoding="utf-8"))
        output = (place / "output.txt").read_text(encoding="utf-8", errors="replace")
        log = place / "log.json"
        known = checked_log(log.read_bytes()) if log.exists() else None
        return {**facts, "output": output, "log": known}
    except (OSError, ValueError, TypeError):
        return None


def forget(place: Path) -> None:
    """Do not take the run in `place` for a finished one any more."""
    for name in (RUN, "log.json"):
        (place / name).unlink(missing_ok=True)
