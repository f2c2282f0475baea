"""What a 12-release matrix costs beside its inner runs, and what an overlay costs.

Prints two ratios from one run: the matrix's wall time over (sum of its inner runs ÷ jobs), at most
1.15 is the aim; and the seconds per overlay made anew while the index is warm, under 1 is the aim.

    python benchmarks/matrix.py [--jobs 2] [--suite examples/gpt] [VERSION...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_keras_golden.stacks.overlay.folder import ensure_overlay

RELEASES = (
    *("3.5.0", "3.6.0", "3.7.0", "3.8.0", "3.9.0", "3.9.2"),
    *("3.10.0", "3.11.3", "3.12.4", "3.13.2", "3.14.1", "3.15.1"),
)
ROOT = Path(__file__).resolve().parents[1]


def overlay_seconds(versions: list[str]) -> list[float]:
    """Per version: a fresh installation, the package index asked once before."""
    took = []
    with tempfile.TemporaryDirectory() as fresh:
        for version in versions:
            ensure_overlay("keras", version, cache=Path(fresh, "warm"))
            started = time.perf_counter()
            ensure_overlay("keras", version, cache=Path(fresh, "timed"))
            took.append(time.perf_counter() - started)
    return took


def matrix_seconds(versions: list[str], suite: Path, jobs: int) -> tuple[float, list[float]]:
    """Wall time of the command, and of each inner run inside it (the anchor runs twice)."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place, "matrix.json")
        command = [sys.executable, "-m", "pytest_keras_golden.cli", "matrix", *versions]
        options = ["--jobs", str(jobs), "--json", str(report), "--keep", str(Path(place, "runs"))]
        started = time.perf_counter()
        command += [*options, "--", "."]
        done = subprocess.run(command, cwd=suite, env=_environment(), check=False)
        wall = time.perf_counter() - started
        if done.returncode not in (0, 1):
            sys.exit(f"the matrix ended with {done.returncode}")
        kept = Path(place, "runs", "runs").glob("*/run.json")
        inner = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in kept]
        cells = json.loads(report.read_text(encoding="utf-8"))["cells"]
    print(f"{len(cells)} cells, {len(inner)} inner runs")
    return wall, inner


def _environment() -> dict[str, str]:
    return {"KERAS_BACKEND": "jax", **os.environ}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=list(RELEASES), metavar="VERSION")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--suite", type=Path, default=ROOT / "examples" / "gpt")
    arguments = parser.parse_args()
    overlays = overlay_seconds(arguments.versions)
    print(f"overlay, index warm: {max(overlays):.2f} s at most, {sum(overlays):.2f} s in all")
    wall, inner = matrix_seconds(arguments.versions, arguments.suite.resolve(), arguments.jobs)
    ideal = sum(inner) / arguments.jobs
    print(f"wall {wall:.1f} s, inner runs {sum(inner):.1f} s on {arguments.jobs} jobs")
    print(f"ratio {wall / ideal:.3f} (aim: 1.15)")


if __name__ == "__main__":
    main()
