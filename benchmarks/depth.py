"""How far harmless changes move tensors, as multiples of what depth was measured to reach.

`accumulated` is said of a tensor that moved by at most `FACTOR` times its reach (compare/depth.py).
Here every tolerance is next to nothing, so that the reach of each tensor that moved is measured.
The ratio is what the factor has to cover: for the same mathematics rounded otherwise, injected into
four models in two precisions, and for real releases of Keras and jax, in gates over those models.

Exits 1 when one of these harmless tensors is beyond the factor. That nothing beyond rounding passes
for depth is what detection.py counts.

    python benchmarks/depth.py [--no-releases] [--verbose]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from detection import MODELS, POLICIES
from injection.trial import Bench

from pytest_keras_golden.compare.depth import FACTOR
from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, test_from_json
from pytest_keras_golden.records import Tolerance, ToleranceRule

TINY = 1e-3
HERE = Path(__file__).resolve().parent
GATES = (
    ("keras 3.4.1 → 3.5.0", ["3.4.1", "3.5.0"]),
    ("keras 3.5.0 → 3.6.0", ["3.5.0", "3.6.0"]),
    ("keras 3.6.0 → 3.15.1", ["3.6.0", "3.15.1"]),
    ("jax 0.4.38 → 0.6.2", ["0.4.38", "0.6.2", "--package", "jax"]),
    ("jax 0.6.2 → 0.7.2", ["0.6.2", "0.7.2", "--package", "jax"]),
)


@dataclass(frozen=True)
class Reached:
    """k and rel_l2 of one tensor, each as a multiple of its reach."""

    where: str
    k: float
    rel_l2: float

    @property
    def worst(self) -> float:
        return max(self.k, self.rel_l2)


def reached(what: str, outcomes: Iterable[TestOutcome]) -> Iterator[Reached]:
    for outcome in outcomes:
        for tensor in outcome.tensors:
            depth = tensor.extra.get("depth")
            if depth is not None:
                where = f"{what}: {outcome.nodeid.rpartition('::')[2]} {tensor.name}"
                yield Reached(where, *_multiples(tensor, depth))


def _multiples(tensor: TensorOutcome, depth: dict[str, Any]) -> tuple[float, float]:
    return _ratio(tensor.k or 0.0, depth["k"]), _ratio(tensor.rel_l2 or 0.0, depth["rel_l2"])


def _ratio(moved: float, reach: float) -> float:
    return moved / reach if reach else np.inf if moved else 0.0


def injected(folder: Path) -> Iterator[Reached]:
    """Every harmless change of every model: the reach of the tensors that it moved."""
    tiny = (ToleranceRule("*", Tolerance(k=TINY)),)
    for model in MODELS:
        subject = import_module(f"injection.{model}").SUBJECT
        bench = Bench(subject, folder, POLICIES, tiny)
        for policy in POLICIES:
            bench.record(policy)
            for change in subject.changes:
                if change.harmless:
                    outcome, _ = bench.check(policy, change)
                    yield from reached(f"{model} {policy} {change.name}", [outcome])


def released(arguments: list[str]) -> list[TestOutcome]:
    """What a gate's new side came to."""
    with tempfile.TemporaryDirectory() as kept:
        command = [sys.executable, "-m", "pytest_keras_golden.cli", "gate", *arguments]
        tiny = ["-o", f"golden_tolerances=*: k={TINY}"]
        suite = [str(HERE / "reach" / "test_reach.py"), f"--rootdir={HERE / 'reach'}", *tiny]
        done = subprocess.run(
            [*command, f"--keep={kept}/runs", "--", *suite],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"gate {arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        log = json.loads(Path(kept, "runs", "runs", "new", "log.json").read_text())
        return [test_from_json(test) for test in log["tests"]]


def summary(title: str, found: list[Reached]) -> str:
    if not found:
        return f"{title:44}{0:>8}"
    ratios = np.array([each.worst for each in found])
    low, high = np.percentile(ratios, [50, 99])
    beyond = int((ratios > FACTOR).sum())
    return f"{title:44}{len(found):>8,}{low:>9.2f}{high:>9.2f}{ratios.max():>9.2f}{beyond:>9}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-releases", action="store_true", help="injected changes only")
    parser.add_argument("--verbose", action="store_true", help="name what is beyond the factor")
    options = parser.parse_args()
    print(f"multiples of the reach; the factor is {FACTOR:g}\n")
    print(f"{'':44}{'tensors':>8}{'median':>9}{'99 %':>9}{'most':>9}{'beyond':>9}")
    with tempfile.TemporaryDirectory() as folder:
        every = list(injected(Path(folder)))
    print(summary("harmless changes, injected", every), flush=True)
    for title, arguments in () if options.no_releases else GATES:
        found = list(reached(title, released(arguments)))
        print(summary(title, found), flush=True)
        every += found
    beyond = sorted((x for x in every if x.worst > FACTOR), key=lambda x: -x.worst)
    for each in beyond[: None if options.verbose else 5]:
        print(f"BEYOND {each.where}: k {each.k:.2f}, L2 {each.rel_l2:.2f}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
