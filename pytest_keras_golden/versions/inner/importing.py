"""Whether a side's packages can be imported at all, asked where nothing of a suite ran under it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ...errors import StackError
from ...stack import backend_to_set
from ...stacks.overlay.folder import overlay_environment
from ...stacks.side import Side


def demand_importable(side: Side, folder: Path) -> None:
    """Raise StackError, with the last line of the import, for the first package that cannot be.

    folder: where the suite runs.
    """
    laid = dict.fromkeys(pin.overlay for pin in side.pins if not pin.own)
    environment = overlay_environment(laid) | side.variables
    for label, module in _modules(side):
        done = subprocess.run(
            [side.python or sys.executable, "-c", f"import {module}"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"code {done.returncode}"]
            raise StackError(
                f"The side {side.label} cannot be imported: {label} ends with {said[-1].strip()}",
                _fix(side, said[-1], environment.get("KERAS_BACKEND", "")),
            )


def _fix(side: Side, said: str, backend: str) -> str:
    missing = f"No module named '{backend or 'tensorflow'}'" in said
    if side.python is None and (missing or "Unable to import backend" in said):
        return backend_to_set(backend)
    return "Move what it needs along with it, or name a side that runs."


def _modules(side: Side) -> Iterator[tuple[str, str]]:
    """What was laid in front, and last Keras with its backend, which needs the others."""
    for pin in side.pins:
        if not pin.own and pin.package != "keras":
            yield from ((str(pin), module) for module in pin.modules)
    yield "keras", "keras"
