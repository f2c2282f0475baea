"""Changes injected into training steps: found within three, and blamed on the right component?

    python benchmarks/training_detection.py [--backend NAME …] [--only TEXT] [--seeds N]
        [--results FILE] [--verbose]

Changes of optimizers and their options, clipping, accumulation, schedules, losses, metrics,
statistics, draws, order of the batches, one layer's backward pass; a multilayer perceptron and a
small transformer, in float32 and mixed_bfloat16, each backend in a process of its own. A change is
above rounding where it moves a tensor of the first three steps by a relative L2 of more than 1.35 ε
in float32 (ε that of the precision it is tried in). Beside it the same mathematics rounded
otherwise, with N other sets of data and weights: what fails there is an alarm. An hour a backend:
with --results FILE a run that was stopped goes on where it was, and an interrupt prints what there
is. Exits 1 where a change is missed, an alarm is raised or
fewer than 95 % of what is found is blamed rightly.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from injection.steps import StepChange

BACKENDS = ("jax", "torch", "tensorflow")
POLICIES = ("float32", "mixed_bfloat16")
ROUNDING = 1.35
RIGHT = 0.95

Found = dict[str, object]
Key = tuple[str, str, int]
"""Policy, name and seed of a trial: what it is known again by."""


def trials(only: str, seeds: int, known: Mapping[Key, Found]) -> Iterator[Found]:
    """Of this process's backend. known: those that were made before, and are not made again."""
    from injection.steps import CHANGES, HARMLESS

    with tempfile.TemporaryDirectory() as folder:
        for number, way in enumerate({id(c.way): c.way for c in CHANGES}.values()):
            mine = [c for c in CHANGES if c.way is way and only in c.name]
            yield from _tried(mine, 0, Path(folder) / f"{number}", known)
        for seed in range(seeds):
            for number, change in enumerate(c for c in HARMLESS if only in c.name):
                yield from _tried([change], seed, Path(folder) / f"{seed}-{number}", known)


def _tried(
    changes: Sequence[StepChange], seed: int, place: Path, known: Mapping[Key, Found]
) -> Iterator[Found]:
    """Changes of one way to train, against one recording in each precision."""
    from injection.steps import Steps

    for policy in POLICIES:
        bench = None
        for change in changes:
            found = known.get((policy, change.name, seed))
            if found is None and bench is None:
                bench = Steps(change.way, policy, place / policy, seed)
                bench.record()
            if found is None and bench is not None:
                found = {**bench.try_out(change), "seed": seed}
            if found is not None:
                yield found


def sized(found: Sequence[Found]) -> Iterator[Found]:
    """With how far a change moves a step, in float32 where it moves it less there."""
    exact = {
        (trial["backend"], trial["name"]): float(str(trial["size"]))
        for trial in found
        if trial["policy"] == POLICIES[0]
    }
    for trial in found:
        size = float(str(trial["size"]))
        least = min(size, exact.get((trial["backend"], trial["name"]), size))
        yield trial if trial["harmless"] else {**trial, "size": least}


def of_backend(name: str, arguments: argparse.Namespace) -> Iterator[Found]:
    command = [sys.executable, __file__, "--here", "--backend", name, "--only", arguments.only]
    command += ["--seeds", str(arguments.seeds)]
    command += ["--results", str(arguments.results)] if arguments.results else []
    environment = {**os.environ, "KERAS_BACKEND": name, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{name}: the trials ended with exit code {process.returncode}")


def here(arguments: argparse.Namespace) -> Iterator[Found]:
    """The trials of this process, each written down as soon as it was made."""
    (backend,) = arguments.backend
    kept = arguments.results
    lines = kept.read_text().splitlines() if kept is not None and kept.exists() else []
    before = [trial for trial in map(json.loads, lines) if trial["backend"] == backend]
    known = {(t["policy"], t["name"], t["seed"]): t for t in before}
    for trial in trials(arguments.only, arguments.seeds, known):
        found = {"backend": backend, **trial}
        if kept is not None and (found["policy"], found["name"], found["seed"]) not in known:
            with kept.open("a") as results:
                results.write(json.dumps(found) + "\n")
        yield found


def wanted(found: Found) -> bool:
    epsilon = 2.0**-23 if found["policy"] == "float32" else 2.0**-7
    return not found["harmless"] and float(str(found["size"])) > ROUNDING * epsilon


def share(count: int, of: int) -> str:
    return f"{count}/{of}" + (f" ({100 * count / of:.1f} %)" if of else "")


def report(found: Sequence[Found], verbose: bool) -> int:
    missed = [trial for trial in found if wanted(trial) and not trial["caught"]]
    wrong = [t for t in found if wanted(t) and t["caught"] and not t["right"]]
    alarms = [trial for trial in found if trial["harmless"] and trial["caught"]]
    for backend in dict.fromkeys(str(trial["backend"]) for trial in found):
        for policy in POLICIES:
            here = [t for t in found if (t["backend"], t["policy"]) == (backend, policy)]
            asked = [trial for trial in here if wanted(trial)]
            caught = [trial for trial in asked if trial["caught"]]
            harmless = [trial for trial in here if trial["harmless"]]
            print(
                f"{backend:11}{policy:16} found {share(len(caught), len(asked)):18}"
                f" right component {share(sum(bool(t['right']) for t in caught), len(caught)):18}"
                f" alarms {share(sum(bool(t['caught']) for t in harmless), len(harmless))}"
            )
    for title, trials_ in (("missed", missed), ("wrong component", wrong), ("alarm", alarms)):
        for trial in trials_:
            print(f"{title}: {_line(trial)}")
    for trial in found if verbose else ():
        print(_line(trial))
    asked = [trial for trial in found if wanted(trial)]
    rightly = len(asked) - len(missed) - len(wrong)
    return int(bool(missed or alarms) or rightly < RIGHT * (len(asked) - len(missed)))


def _line(trial: Found) -> str:
    what = f"{trial['backend']} {trial['policy']} {trial['name']}"
    return f"{what}: size {trial['size']:.1e}, blamed {trial['blamed']}, of {trial['component']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="*", default=list(BACKENDS), choices=BACKENDS)
    parser.add_argument("--only", default="", help="changes whose names hold this text")
    parser.add_argument("--seeds", type=int, default=3, help="sets of data for harmless changes")
    parser.add_argument("--verbose", action="store_true", help="a line for every trial")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="keep trials, and go on where they stopped"
    )
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        for trial in here(arguments):
            print(json.dumps(trial), flush=True)
        return 0
    found: list[Found] = []
    try:
        for backend in arguments.backend:
            found += of_backend(backend, arguments)
    except KeyboardInterrupt:
        print("interrupted: what there is", file=sys.stderr)
    return report(list(sized(found)), arguments.verbose)


if __name__ == "__main__":
    sys.exit(main())
