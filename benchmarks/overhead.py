"""What the plugin costs a pytest run that does not use it. Prints one ratio, exits 1 above 1.03.

Runs of the same unrelated tests with and without the plugin alternate, so that whatever else the
machine does meets both alike; the ratio is the median over the pairs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.03
HEAVY = ("numpy", "keras", "jax", "torch", "tensorflow", "safetensors", "ml_dtypes", "rich")
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


def seconds(folder: Path, *options: str) -> float:
    """Wall time of one whole pytest process over the tests in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def ratios(folder: Path, pairs: int) -> list[float]:
    """With ÷ without, one per pair; which of the two goes first alternates."""
    orders = [(("-p", "no:keras_golden"), ()), ((), ("-p", "no:keras_golden"))]
    found = []
    for pair in range(pairs):
        timed = {options: seconds(folder, *options) for options in orders[pair % 2]}
        without, with_plugin = timed[orders[0][0]], timed[orders[0][1]]
        found.append(with_plugin / without)
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
        seconds(folder), seconds(folder, "-p", "no:keras_golden")  # compiled and cached from here
        measured = ratios(folder, pairs)
    quarters = statistics.quantiles(measured, n=4)
    print(
        f"unrelated pytest run with ÷ without the plugin: {quarters[1]:.3f} "
        f"(limit {LIMIT}; quartiles {quarters[0]:.3f}–{quarters[2]:.3f}, {pairs} pairs)"
    )
    return 1 if loaded or quarters[1] > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
