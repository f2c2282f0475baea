"""What a gate that holds costs: its processor time over that of the plain suite.

`gate`: both sides are run. `kept recording`: the old side's is taken from `--keep`, as CI would
cache it, and another new side is compared with it. Exits 1 where a ratio is above its goal.

    [KERAS_GOLDEN_KERAS_REPO=CLONE] python benchmarks/gate_cost.py [--pairs 3] [--only TEXT]

Between the releases named below these suites hold bit for bit (3.15 draws the first weights of
MultiHeadAttention from another distribution). Overlays are there, and compiled, before anything is
measured. With a clone of Keras its own layer tests are one of the suites; some of them fail, with
the plugin or without.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from adopted.place import Place
from adopted.suites import SUITES

from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

ROOT = Path(__file__).resolve().parent.parent
SIDES = ("3.12.4", "3.13.2", "3.14.1")
"""Old, new, and another new side, which is compared with the old one's recording."""

OF_KERAS = ("3.15.1", "3.15.0", "3.15.0,optree==0.17.0")
"""The same for Keras' own tests, of 3.15.1, which want that release."""

FRESH, KEPT = 2.2, 1.1
PROGRAM = [sys.executable, "-m", "pytest_keras_golden.cli"]
PLAIN = ("-p", "no:keras_golden", "-p", "no:cacheprovider", "-q")
GENERATED = """
import keras
import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
LAYERS = (
    lambda: keras.layers.Dense(8, activation="gelu"),
    lambda: keras.layers.LayerNormalization(),
    lambda: keras.layers.BatchNormalization(),
    lambda: keras.layers.Activation("softmax"),
    lambda: keras.Sequential([keras.layers.Dense(16), keras.layers.Dense(4)]),
    lambda: keras.Sequential([keras.layers.Reshape((4, 4)), keras.layers.LSTM(4)]),
)


@pytest.mark.parametrize("layer", LAYERS, ids=range(6))
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_call(layer, scale):
    assert np.isfinite(np.asarray(layer()(X * scale))).all()
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of processor time of a process and all that it started."""

    plain: float
    fresh: float
    kept: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A suite. codes: what pytest may end with without the plugin."""

    name: str
    folder: Path
    arguments: tuple[str, ...]
    sides: tuple[str, str, str] = SIDES
    codes: tuple[int, ...] = (0,)


def spent(command: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(suite: Measured) -> Cost:
    folder, (old, new, other) = suite.folder, suite.sides
    plain = spent([sys.executable, "-m", "pytest", *PLAIN, *suite.arguments], folder, suite.codes)
    with tempfile.TemporaryDirectory() as scratch:
        keep = ("--keep", f"{scratch}/kept", "--json", f"{scratch}/gate.json")
        behind = ("--", *suite.arguments)
        fresh = spent([*PROGRAM, "gate", old, new, *keep, *behind], folder)
        demand(Path(scratch, "gate.json"), {"old", "new"}, set())
        kept = spent([*PROGRAM, "gate", old, other, *keep, *behind], folder)
        demand(Path(scratch, "gate.json"), {"old", "new"}, {"old"})
    return Cost(plain, fresh, kept)


def demand(file: Path, runs: set[str], reused: set[str]) -> None:
    """A figure of a gate that did something else would say nothing."""
    said = json.loads(file.read_text(encoding="utf-8"))
    if said["verdict"] != "holds" or set(said["seconds"]) != runs or set(said["reused"]) != reused:
        raise SystemExit(f"expected {runs}, {reused} taken again: {said['seconds']}, "
                         f"{said['reused']}, {said['counts']}")  # fmt: skip


def suites(scratch: Path) -> Iterator[Measured]:
    (scratch / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")
    (scratch / "test_generated.py").write_text(GENERATED)
    yield Measured("30 small tests", scratch, ())
    plain = ROOT / "tests" / "versions" / "plain_suite"
    yield Measured("plain suite", plain, ("-p", "no:randomly"))
    # Without the plugin its marker is unknown, which the project's own settings forbid.
    lax = ("-o", "addopts=", "-o", "filterwarnings=", "-p", "no:randomly")
    trained = (*lax, "examples/gpt", "-k", "test_it_learned")
    yield Measured("trained decoder", ROOT, trained)
    known = next(one for one in SUITES if one.name == "keras")
    if known.variable in os.environ:
        place = Place(replace(known, revision=f"v{OF_KERAS[0]}"), scratch / "own")
        place.export()
        arguments = ("-p", "no:randomly", *place.selected())
        yield Measured("Keras' layer tests", place.folder, arguments, OF_KERAS, (0, 1))


def prepare(folder: Path) -> None:
    """What a first gate pays once: overlays, and bytecode of them and of the plugin."""
    for version in (*SIDES, *OF_KERAS[:2]):
        compileall.compile_dir(ensure_runnable("keras", version), quiet=2)
    spent([*PROGRAM, "gate", *SIDES[:2], "--", "test_generated.py"], folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1, help="medians of so many (default: 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="suites whose name has it")
    chosen = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    # Without bytecode every process would compile all that it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    over = False
    with tempfile.TemporaryDirectory() as scratch:
        measured = [one for one in suites(Path(scratch)) if chosen.only in one.name]
        prepare(Path(scratch))
        for suite in measured:
            found = [costs(suite) for _ in range(chosen.pairs)]
            fresh = statistics.median(cost.fresh / cost.plain for cost in found)
            kept = statistics.median(cost.kept / cost.plain for cost in found)
            plain = statistics.median(cost.plain for cost in found)
            over = over or fresh > FRESH or kept > KEPT
            marks = [" (over)" if ratio > goal else "" for ratio, goal in
                     ((fresh, FRESH), (kept, KEPT))]  # fmt: skip
            print(f"{suite.name}: plain {plain:.1f} s, gate {fresh:.2f} ×{marks[0]}, "
                  f"kept recording {kept:.2f} ×{marks[1]}", flush=True)  # fmt: skip
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
