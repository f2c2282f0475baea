"""What the plugin costs a pytest run that does not use it. Prints one ratio, exits 1 above 1.03.

Runs of the same unrelated tests with and without the plugin alternate, so that whatever else the
machine does meets both alike; the ratio is the median over the pairs. On a busy machine the ratio
of processor time, printed beside it, is the steadier one.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.03
HEAVY = ("numpy", "keras", "jax", "torch", "tensorflow", "safetensors", "ml_dtypes", "rich")
WITHOUT = ("-p", "no:keras_golden")
TESTS = """
import pytest

@pytest.mark.parametrize("n", range(200))
def test_sum(n, tmp_path_factory):
    assert sum(range(n)) == n * (n - 1) // 2
"""


def heavy_imports() -> list[str]:
    """Top-level modules among HEAVY that importing the plugin loads."""
    code = "import sys, pytest_keras_golden.plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    return sorted(set(HEAVY) & {name.partition(".")[0] for name in loaded.stdout.split()})


def seconds(folder: Path, *options: str) -> tuple[float, float]:
    """Wall and processor time of one whole pytest process over the tests in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratios(folder: Path, pairs: int) -> list[tuple[float, float]]:
    """With ÷ without, wall and processor time, one per pair; which goes first alternates."""
    found = []
    for pair in range(pairs):
        order = (WITHOUT, ()) if pair % 2 else ((), WITHOUT)
        timed = {options: seconds(folder, *options) for options in order}
        (wall, cpu), (bare_wall, bare_cpu) = timed[()], timed[WITHOUT]
        found.append((wall / bare_wall, cpu / bare_cpu))
        if sys.stderr.isatty():
            print(f"\rpair {pair + 1}/{pairs}", end="", file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    loaded = heavy_imports()
    print("importing the plugin loads", ", ".join(loaded) or f"none of {', '.join(HEAVY)}")
    os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD", None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_unrelated.py").write_text(TESTS)
        seconds(folder), seconds(folder, *WITHOUT)  # compiled and cached from here on
        measured = ratios(folder, pairs)
    quarters = statistics.quantiles([wall for wall, _ in measured], n=4)
    processor = statistics.median(cpu for _, cpu in measured)
    print(
        f"unrelated pytest run with ÷ without the plugin: {quarters[1]:.3f} "
        f"(limit {LIMIT}; quartiles {quarters[0]:.3f}–{quarters[2]:.3f}, {pairs} pairs; "
        f"processor time {processor:.3f})"
    )
    return 1 if loaded or quarters[1] > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
