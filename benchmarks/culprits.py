"""Is the right set of changes blamed, and in how many probes? Pairs of lock files, made by seeds.

Each pair changes 2 to 40 packages at once; one of them, or two or three that act only together,
move the numbers. Some packages are tied by their metadata, some need another's new version, and
some mixtures cannot be imported, which no metadata say.

Everything is the real thing but the suite: wheels are made here, and the sides are read, mixed and
installed as a gate does it. A probe imports the packages of its mixture and computes one number,
instead of running a suite on Keras, which takes ten seconds. `--gates N` runs N of the pairs
through `keras-golden gate` as well, with a Keras layer that uses the packages, among a real bump of
Keras that moves nothing there.

    python benchmarks/culprits.py [--pairs 60] [--gates 2] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from injection.wheels import write_wheel

from pytest_keras_golden.stacks.chosen import Stack, choose, completed
from pytest_keras_golden.stacks.grammar import parse_side
from pytest_keras_golden.stacks.installing import install
from pytest_keras_golden.stacks.mixtures import mixture, needs
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.versions.changes import changes
from pytest_keras_golden.versions.search.halves import Answer
from pytest_keras_golden.versions.search.minimal import Minimal, minimal_set

OLD, NEW = "1.0", "1.1"
POOL = 60
TIED = {f"kgc-{2 * at:02}": f"kgc-{2 * at + 1:02}" for at in range(5)}
"""Each asks for exactly the other's version, as jax does for jaxlib's."""
LEADING = {f"kgc-{20 + 2 * at:02}": f"kgc-{21 + 2 * at:02}" for at in range(4)}
"""The new version of the first asks for the new one of the second."""
BREAKING = {f"kgc-{40 + 2 * at:02}": f"kgc-{41 + 2 * at:02}" for at in range(5)}
"""The first cannot be imported beside another version of the second; no metadata say so."""


@dataclass(frozen=True)
class Pair:
    """One pair of locks. guilty: acts only where all of them are new."""

    seed: int
    packages: tuple[str, ...]
    guilty: frozenset[str]

    @property
    def expected(self) -> frozenset[str]:
        """With what the guilty ones cannot be had without."""
        found = set(self.guilty)
        links = [*TIED.items(), *((b, a) for a, b in TIED.items())]
        links += [*BREAKING.items(), *((b, a) for a, b in BREAKING.items()), *LEADING.items()]
        while True:
            more = {other for one, other in links if one in found and other in self.packages}
            if more <= found:
                return frozenset(found)
            found |= more


def pair(seed: int) -> Pair:
    chance = random.Random(seed)
    count = chance.randint(2, 30)  # companions come on top
    names = {f"kgc-{at:02}" for at in chance.sample(range(POOL), count)}
    for one, other in (*TIED.items(), *BREAKING.items(), *LEADING.items()):
        if one in names or (other in names and one not in LEADING):
            names |= {one, other}
    guilty = chance.sample(sorted(names), min(len(names), chance.choice((1, 1, 1, 2, 2, 3))))
    return Pair(seed, tuple(sorted(names)), frozenset(guilty))


# -- wheels -----------------------------------------------------------------------------------


def make_wheels(folder: Path) -> None:
    for at in range(POOL):
        for version in (OLD, NEW):
            name = f"kgc-{at:02}"
            write_wheel(folder, name, version, _requires(name, version), _module(name, version))


def _module(name: str, version: str) -> str:
    lines = [f'VERSION = "{version}"']
    if name in BREAKING:
        other = BREAKING[name].replace("-", "_")
        lines = [
            f"import {other}",
            f'if {other}.VERSION != "{version}":',
            f"    raise ImportError('{name} {version} cannot load {other} ' + {other}.VERSION)",
            *lines,
        ]
    return "\n".join(lines) + "\n"


def _requires(name: str, version: str) -> list[str]:
    if name in TIED:
        return [f"{TIED[name]}<={version},>={version}"]
    return [f"{LEADING[name]}>={version}"] if name in LEADING else []


# -- searching ----------------------------------------------------------------------------------

PROGRAM = """
import importlib, sys
names, guilty = (text.split() for text in sys.argv[1:3])
versions = {name: importlib.import_module(name).VERSION for name in names}
print(1.5 if all(versions[name] == "1.1" for name in guilty) else 1.0)
"""


def sides(folder: Path, made: Pair) -> list[Stack]:
    texts = []
    for end, version in (("old", OLD), ("new", NEW)):
        lock = folder / f"{end}.txt"
        lock.write_text("".join(f"{name}=={version}\n" for name in made.packages))
        texts.append(str(lock))
    return completed([choose(parse_side(text), "keras", None) for text in texts])


def search(folder: Path, made: Pair) -> tuple[Minimal[str], int]:
    """What the search says of a pair, and how many changes it was over."""
    old, new = sides(folder, made)
    changed = changes(*(install(stack, (old, new)).parts for stack in (old, new)))
    names = [change.name for change in changed]
    imported = [" ".join(n.replace("-", "_") for n in group) for group in (names, made.guilty)]

    def probe(taken: frozenset[str]) -> Answer:
        side = install(mixture(old, new, taken), (old, new))
        environment = overlay_environment(dict.fromkeys(pin.overlay for pin in side.pins))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *imported],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return "skip"
        return "bad" if float(done.stdout) != 1.0 else "good"

    return minimal_set(names, needs(old, new), probe), len(names)


# -- whole gates ------------------------------------------------------------------------------

SUITE = """
import importlib

import keras
import numpy as np

NAMES, GUILTY = {names!r}, {guilty!r}
VERSIONS = {{name: importlib.import_module(name).VERSION for name in NAMES}}
FACTOR = 1.5 if all(VERSIONS[name] == "1.1" for name in GUILTY) else 1.0
X = np.linspace(-1.0, 1.0, 32, dtype="float32").reshape(4, 8)


class Scaled(keras.layers.Layer):
    def call(self, x):
        return x * FACTOR


def test_scaled():
    assert Scaled(name="scaled")(X).shape == (4, 8)


def test_dense():
    assert keras.layers.Dense(3, name="dense")(X).shape == (4, 3)
"""


def gated(folder: Path, made: Pair) -> tuple[frozenset[str], int, int]:
    """Culprit, probes and changes as `keras-golden gate` says them, among a real Keras bump."""
    sides(folder, made)
    for end, release in (("old", "3.14.0"), ("new", "3.14.1")):
        with (folder / f"{end}.txt").open("a") as lock:
            lock.write(f"keras=={release}\n")
    modules = [tuple(n.replace("-", "_") for n in group) for group in (made.packages, made.guilty)]
    suite = SUITE.format(names=modules[0], guilty=modules[1])
    (folder / "test_scaled.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest_keras_golden.cli", "gate", "old.txt", "new.txt"]
    done = subprocess.run(
        [*command, "--json", "-", "--jobs", "1", "--", "test_scaled.py"],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 1:
        raise RuntimeError(done.stderr)
    told = json.loads(done.stdout)
    searched = told["culprit_search"]
    members = frozenset(change["name"] for change in told["culprit"])
    return members, searched["probes"], searched["changes"]


# -- figures ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    made: Pair
    found: frozenset[str]
    probes: int
    changes: int
    seconds: float

    @property
    def right(self) -> bool:
        return self.found == self.made.expected

    @property
    def limit(self) -> int | None:
        """Of probes, where one change alone is guilty."""
        return math.ceil(math.log2(self.changes)) + 3 if len(self.made.expected) == 1 else None


def trials(seeds: Sequence[int], root: Path, whole: bool) -> Iterator[Trial]:
    for seed in seeds:
        made, began = pair(seed), time.monotonic()
        folder = Path(tempfile.mkdtemp(dir=root))
        if whole:
            found, probes, count = gated(folder, made)
        else:
            minimal, count = search(folder, made)
            found, probes = minimal.members, minimal.probes
        trial = Trial(made, found, probes, count, time.monotonic() - began)
        print(_line(trial), file=sys.stderr, flush=True)
        yield trial


def _line(trial: Trial) -> str:
    verdict = "right" if trial.right else f"WRONG: {sorted(trial.found)}"
    guilty = " ".join(sorted(trial.made.expected))
    return (
        f"seed {trial.made.seed}: {trial.changes} changes, {guilty}: {verdict} in "
        f"{trial.probes} probes, {trial.seconds:.1f} s"
    )


def figures(title: str, done: Sequence[Trial]) -> str:
    probes = [trial.probes for trial in done]
    single = [trial for trial in done if trial.limit is not None]
    beyond = sum(trial.probes > (trial.limit or 0) for trial in single)
    right = sum(trial.right for trial in done)
    return (
        f"{title}: right set in {right} of {len(done)}; probes: median "
        f"{statistics.median(probes):g}, most {max(probes)}; of {len(single)} with one guilty "
        f"change {beyond} took more than ⌈log2 n⌉ + 3; changes: {min(t.changes for t in done)} to "
        f"{max(t.changes for t in done)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--gates", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kg-culprits-") as temporary:
        root = Path(temporary)
        make_wheels(root)
        os.environ["UV_FIND_LINKS"] = str(root)
        os.environ["KERAS_GOLDEN_CACHE"] = str(root / "cache")
        seeds = range(options.seed, options.seed + options.pairs)
        searched = list(trials(seeds, root, whole=False))
        whole = list(trials(seeds[: options.gates], root, whole=True))
    print(figures("mixtures installed and imported", searched))
    if whole:
        print(figures("whole gates", whole))
    return int(sum(trial.right for trial in searched) < 0.95 * len(searched))


if __name__ == "__main__":
    sys.exit(main())
