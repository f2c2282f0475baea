"""500 golden tests recorded and checked by 1, 2 and 8 pytest-xdist workers, in random order.

    python benchmarks/workers.py [--tests 500] [--workers 1 2 8]

Prints, per number of workers, whether the goldens are the first recording's byte for byte, and
whether a check gives the same JSON outcomes; exits 1 where either differs. pytest-randomly shuffles
the tests and reseeds the generators by a seed of each run's own, so that neither can matter.
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
from typing import Any

SUITE = """
import keras
import numpy as np
import pytest


@pytest.mark.parametrize("case", range({count}))
def test_model(golden_tensors, case):
    # Unseeded on purpose: weights and inputs come from the generators that the plugin seeds.
    layer = keras.layers.Dense(4 + case % 5)
    with golden_tensors.capture(layer, select=["outputs"]):
        layer(np.random.normal(size=(2, 3)).astype("float32"))
    golden_tensors.check("noise", keras.random.normal((3,)))
"""


class Folder:
    """The suite, and what its runs leave."""

    def __init__(self, place: Path, tests: int) -> None:
        self.place = place
        (place / "pytest.ini").write_text("[pytest]\n")
        (place / "test_many.py").write_text(SUITE.format(count=tests))

    def run(self, workers: int, goldens: str, *options: str) -> tuple[list[Any], float]:
        """Outcomes by node id, and seconds."""
        spread = ["-n", str(workers)] if workers > 1 else []
        command = [sys.executable, "-m", "pytest", "-q", *spread, f"--goldens-dir={goldens}"]
        environment = {**os.environ, "CI": "", "PYTEST_ADDOPTS": "", "GITHUB_STEP_SUMMARY": ""}
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, "--golden-log=log.json", *options],
            check=False,
            cwd=self.place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise SystemExit(done.stdout)
        tests = json.loads((self.place / "log.json").read_text(encoding="utf-8"))["tests"]
        return sorted(tests, key=lambda test: str(test["nodeid"])), time.perf_counter() - begun

    def files(self, goldens: str) -> dict[str, bytes]:
        root = self.place / goldens
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.safetensors")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch), options.tests)
        wrong = compare(folder, options.workers)
    return int(wrong)


def compare(folder: Folder, numbers: list[int]) -> bool:
    """Whether any number of workers gave other goldens or outcomes than the first."""
    wrong, first = False, f"goldens-{numbers[0]}"
    outcomes: list[Any] = []
    for workers in numbers:
        own = f"goldens-{workers}"
        _, recording = folder.run(workers, own, "--update-goldens")
        tests, checking = folder.run(workers, first)
        outcomes = outcomes or tests
        bytes_equal, outcomes_equal = folder.files(own) == folder.files(first), tests == outcomes
        wrong |= not (bytes_equal and outcomes_equal)
        print(
            f"{workers} worker{'s' * (workers > 1)}: {len(folder.files(own))} goldens "
            f"{'equal' if bytes_equal else 'DIFFER'}, outcomes of {len(tests)} tests "
            f"{'equal' if outcomes_equal else 'DIFFER'}; "
            f"recorded in {recording:.1f} s, checked in {checking:.1f} s",
            flush=True,
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
