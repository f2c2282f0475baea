"""What twins cost: recording, and a check that moved, with them over without.

    python benchmarks/twins.py [--repeats 5] [MODEL …]

Models of benchmarks/injection in float32 and bfloat16, eager, on the backend of KERAS_BACKEND.
Processor times of the whole block and what follows it (forward pass, tensors to the host,
references, isolation, judging, the golden file), the least of interleaved repeats in one process;
everything has run once before, so that compiling is in none of them. What a first run compiles for
float64 is printed apart. The golden's size with twins over without is printed too.

Twins are a second forward pass, in float64: what it takes by itself, unwatched, is the least that
recording can cost more, and is printed as such. Targets: recording at most 1.3 times what it takes
without twins and that pass together, a check that moved at most 1.5 times what it takes without
(exit code 1 beyond either).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

from injection.change import Change
from injection.trial import Bench

from pytest_keras_golden.capture import examine
from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.findings import Findings
from pytest_keras_golden.capture.replay.lifted import lifted
from pytest_keras_golden.capture.replay.twins import LOW

MODELS = ("gpt", "llama", "bert", "convnet")
POLICIES = ("float32", "bfloat16")
RECORDING, CHECKING = 1.3, 1.5


@contextmanager
def without_twins() -> Iterator[None]:
    with_twins, with_causes = Findings._with_twins, examine.with_causes
    Findings._with_twins = lambda self, ended: ended
    examine.with_causes = lambda found, *rest: found
    try:
        yield
    finally:
        Findings._with_twins, examine.with_causes = with_twins, with_causes


def record(bench: Bench, policy: str) -> float:
    for golden in (bench.folder / "goldens").rglob("*.safetensors"):
        golden.unlink()
    began = time.process_time()
    bench.record(policy)
    return time.process_time() - began


def check(bench: Bench, policy: str, change: Change) -> float:
    began = time.process_time()
    outcome, _ = bench.check(policy, change)
    assert outcome.outcome == "failed"
    return time.process_time() - began


def forward(bench: Bench, policy: str) -> float:
    """The bare call in float64, on its own inputs."""
    model, arguments = bench.model(policy)
    with lifted([model], LOW, "float64"):
        began = time.process_time()
        for _, tensor in flatten(model(*arguments)):
            to_numpy(tensor)
        return time.process_time() - began


def size(bench: Bench) -> int:
    return sum(path.stat().st_size for path in (bench.folder / "goldens").rglob("*.safetensors"))


def measure(name: str, policy: str, repeats: int, folder: Path) -> tuple[float, float]:
    subject = import_module(f"injection.{name}").SUBJECT
    bench = Bench(subject, folder, (policy,))
    change = next(change for change in subject.changes if not change.harmless)
    times: dict[str, list[float]] = {key: [] for key in ("r", "c", "R", "C", "f")}
    sizes = [0, 0]
    with without_twins():
        record(bench, policy), check(bench, policy, change)
    first = record(bench, policy), check(bench, policy, change)
    for _ in range(repeats):
        with without_twins():
            times["r"].append(record(bench, policy))
            sizes[0] = size(bench)
            times["c"].append(check(bench, policy, change))
        times["R"].append(record(bench, policy))
        sizes[1] = size(bench)
        times["C"].append(check(bench, policy, change))
        times["f"].append(forward(bench, policy))
    least = {key: min(found) for key, found in times.items()}
    floor = (least["r"] + least["f"]) / least["r"]
    recording, checking = least["R"] / least["r"], least["C"] / least["c"]
    print(
        f"{name:8} {policy:9} recording {recording:.2f} (at least {floor:.2f}: "
        f"{recording / floor:.2f} times that), a check that moved {checking:.2f}, "
        f"golden {sizes[1] / sizes[0]:.2f}; the first with twins, once compiled without: "
        f"{first[0] / least['r']:.1f} and {first[1] / least['c']:.1f}",
        flush=True,
    )
    return recording / floor, checking


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = []
    for model in options.models:
        for policy in POLICIES:
            with tempfile.TemporaryDirectory() as folder:
                found.append(measure(model, policy, options.repeats, Path(folder)))
    return int(any(r > RECORDING or c > CHECKING for r, c in found))


if __name__ == "__main__":
    sys.exit(main())
