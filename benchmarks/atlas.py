"""Every numeric change of Keras' own layers from release to release, written to a Markdown table.

Runs the layers of benchmarks/history under every release since 3.0, on every backend, in float32,
bfloat16 and float16, on the same inputs and weights, and judges each release against the one before
as an isolated layer is judged. What changed is run again in float64, which tells the cause; with a
clone of Keras, the commit of what means something else or handles precision otherwise is looked
for. Releases between two ends of a series are run only where the ends differ.

    python benchmarks/atlas.py [--releases 3.0.0..latest] [--backends jax,torch,tensorflow,numpy]
                               [--clone DIR] [--jobs 2]
                               [--results .atlas] [--output docs/drift-atlas.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from history.along import over_backends
from history.page import LAYERS, page
from history.recordings import Recorder

from pytest_keras_golden.stacks.clone import Clone
from pytest_keras_golden.stacks.overlay.releases import resolve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", default="3.0.0..latest")
    parser.add_argument("--backends", default="jax,torch,tensorflow,numpy")
    parser.add_argument("--clone", type=Path, help="a git clone of Keras with its tags")
    parser.add_argument("--jobs", type=int, default=2, help="backends at a time")
    parser.add_argument("--results", type=Path, default=Path(".atlas"))
    parser.add_argument("--output", type=Path, default=Path("docs/drift-atlas.md"))
    options = parser.parse_args()
    backends = options.backends.split(",")
    releases = resolve([options.releases])
    clone = Clone(options.clone.resolve(), "keras") if options.clone else None

    along = {Recorder(backend, options.results): releases for backend in backends}
    pairs = over_backends(along, clone, options.jobs)
    options.output.write_text(page(LAYERS, pairs, releases, backends), encoding="utf-8")
    count = sum(map(len, pairs.values()))
    print(f"{count} changes over {len(releases)} releases: {options.output}")


if __name__ == "__main__":
    main()
