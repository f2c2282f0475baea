"""Every numeric change of Keras' training from release to release, written to a Markdown table.

Runs the scenarios of benchmarks/training under every release since 3.0, on every backend that
trains, and judges each release against the one before: optimizers, schedules, losses, metrics,
initializers, draws, regularizers, constraints, the backward pass and the initial weights of every
layer in float32, the options of `fit` in float32 and both mixed precisions. What changed is run
again in float64, which tells the cause; with a clone of Keras, the commit of what is no rounding is
looked for. Releases between two ends of a series are run only where the ends differ by more, and
only the scenarios that do. A backend may be given releases of its own: `jax=3.14.1..latest`.

    python benchmarks/training_atlas.py [--releases 3.0.0..latest] [--backends torch,jax,tensorflow]
                                        [--clone DIR] [--jobs 1] [--results .training-atlas]
                                        [--output docs/training-atlas.md]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from history.along import over_backends
from history.changes import changes
from history.page import page
from history.recordings import Key, Recorded, Recorder
from packaging.version import Version
from training.page import atlas, footer

from pytest_keras_golden.stacks.clone import Clone
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable
from pytest_keras_golden.stacks.overlay.releases import resolve

SCRIPT = Path(__file__).resolve().parent / "training" / "record.py"

JAX = "0.5.3"
"""The `fit` of Keras up to 3.9 asks for `jax.spmd_mode`, which later releases of jax lack."""

PACKAGES = {"torch": "torch", "tensorflow": "tensorflow_cpu"}


def recorder(backend: str, results: Path) -> Recorder:
    beside: tuple[Path, ...] = ()
    if backend == "jax":
        beside = (ensure_overlay("jax", JAX, extra=[f"jaxlib=={JAX}"]),)
    return Recorder(backend, results, SCRIPT, beside)


def unsteady(recorder: Recorder, releases: Sequence[str]) -> set[Key]:
    """Scenarios that a second run of the oldest or the newest release gives otherwise: what moves
    in them is no release's doing."""
    ends = (releases[0], releases[-1])
    return {
        change.key
        for name in ends
        for change in changes(recorder.release(name), _again(recorder, name), recorder.backend)
    }


def _again(recorder: Recorder, name: str) -> Recorded:
    return recorder.overlaid(f"{name}-again", ensure_runnable("keras", name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", default="3.0.0..latest")
    parser.add_argument("--backends", default="torch,jax,tensorflow")
    parser.add_argument("--clone", type=Path, help="a git clone of Keras with its tags")
    parser.add_argument("--jobs", type=int, default=1, help="backends at a time")
    parser.add_argument("--results", type=Path, default=Path(".training-atlas"))
    parser.add_argument("--output", type=Path, default=Path("docs/training-atlas.md"))
    options = parser.parse_args()
    clone = Clone(options.clone.resolve(), "keras") if options.clone else None
    releases = {
        recorder(name, options.results): resolve([own or options.releases])
        for name, _, own in (text.partition("=") for text in options.backends.split(","))
    }
    pairs = over_backends(releases, clone, options.jobs, thorough=False)
    excluded = {one.backend: unsteady(one, own) for one, own in releases.items()}
    pairs = {
        pair: [change for change in found if change.key not in excluded[change.backend]]
        for pair, found in pairs.items()
    }
    every = sorted({name for own in releases.values() for name in own}, key=Version)
    words = [_words(one.backend, own, every) for one, own in releases.items()]
    head = atlas([one.backend for one in releases], clone is not None)
    text = page(head, pairs, every, words) + footer(pairs, releases, excluded)
    options.output.write_text(text, encoding="utf-8")
    print(f"{sum(map(len, pairs.values()))} changes, {len(every)} releases: {options.output}")


def _words(backend: str, own: Sequence[str], every: Sequence[str]) -> str:
    number = JAX if backend == "jax" else version(PACKAGES[backend]).partition("+")[0]
    only = "" if list(own) == list(every) else f" (only {', '.join(own)})"
    return f"{backend} {number}{only}"


if __name__ == "__main__":
    main()
