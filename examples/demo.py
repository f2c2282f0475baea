"""A Keras bump, told by goldens: one trained decoder, the same weights, four Keras releases.

Records the bfloat16 decoder of `examples/gpt` under Keras 3.5.0, checks it under later releases,
and prints what pytest reports. Exits 0 when the story could be told, drift included.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pytest_keras_golden.errors import GoldenError
from pytest_keras_golden.versions.overlay import ensure_overlay, overlay_environment

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".demo"
TEST = "examples/gpt/test_gpt.py::test_prompt[bfloat16]"
BASELINE = "3.5.0"
# Keras 3.15 needs Python 3.11; on 3.10 the story ends with the newest release that runs there.
NEWEST = "3.15.1" if sys.version_info >= (3, 11) else "3.12.1"
LATER = ("3.6.0", "3.7.0", NEWEST)


class StoryError(Exception):
    """Why the story could not be told."""


def pytest_under(release: str, *options: str) -> dict[str, Any]:
    """Runs the golden test under one Keras release, output and all, and returns its outcome."""
    log = SCRATCH / f"keras-{release}.json"
    environment = overlay_environment([ensure_overlay("keras", release)])
    # The developer's own pytest settings are no part of the story.
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", TEST, "--no-header"]
    command += ["--goldens-dir", str(SCRATCH / "goldens"), "--golden-log", str(log)]
    command += ["--golden-output", str(SCRATCH / "candidates"), *options]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status not in (0, 1) or not log.exists():
        raise StoryError(f"pytest under Keras {release} ended with exit code {status}")
    tests = json.loads(log.read_text())["tests"]
    if len(tests) != 1:
        raise StoryError(f"{len(tests)} tests ran under Keras {release}, one was to")
    return dict(tests[0])


def moved(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """Judged tensors that are not bit-identical, in execution order."""
    tensors = sorted(outcome["tensors"], key=lambda tensor: tensor["order"])
    return [tensor for tensor in tensors if tensor["judged"] and tensor["verdict"] != "identical"]


def first_moved_layer(outcome: dict[str, Any]) -> str:
    """The first layer that changed by itself, on golden inputs; without isolation, at all."""
    local = sorted(outcome.get("locals") or moved(outcome), key=lambda layer: layer["order"])
    return next((str(layer["name"]) for layer in local if layer["verdict"] != "identical"), "–")


def row(release: str, outcome: dict[str, Any]) -> Iterator[str]:
    """One release's cells: what moved, by how much, and what the tolerance says to it."""
    changed = moved(outcome)
    judged = sum(tensor["judged"] for tensor in outcome["tensors"])
    worst = max(changed, key=lambda tensor: float(tensor["k"] or 0), default=None)
    yield release
    yield f"{len(changed)} of {judged}"
    yield first_moved_layer(outcome)
    yield f"{float(worst['max_abs']):.3g}" if worst else "0"
    yield f"{float(worst['k']):.2f} in {worst['name']}" if worst else "0"
    yield outcome["first_drift"] or "nothing"
    yield ", ".join(outcome["local_drift"]) or "–"


def story(console: Console) -> Table:
    """Records, checks, and returns the summary. Raises StoryError, GoldenError."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir()
    console.rule(f"Keras {BASELINE}: recording the trained decoder in bfloat16")
    if (
        pytest_under(BASELINE, "--update-goldens", "--update-goldens-in-ci")["outcome"]
        != "recorded"
    ):
        raise StoryError(f"nothing was recorded under Keras {BASELINE}")
    table = Table(title=f"The same weights and tokens, against Keras {BASELINE} (bfloat16, jax)")
    for heading in ("Keras", "moved", "first moved layer", "max abs", "worst k", "first beyond"):
        table.add_column(heading, overflow="fold")
    table.add_column("blamed", overflow="fold")
    for release in LATER:
        console.rule(f"Keras {release}: checking against {BASELINE}")
        table.add_row(*row(release, pytest_under(release, "--golden-baseline", BASELINE)))
    return table


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        console.print(story(console))
    except (StoryError, GoldenError) as error:
        print(f"The story could not be told: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
