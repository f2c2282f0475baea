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
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from history.changes import Change, changes, explained
from history.commits import with_commits
from history.page import page
from history.recordings import Recorder

from pytest_keras_golden.stacks.clone import Clone
from pytest_keras_golden.stacks.overlay.releases import resolve

Pair = tuple[str, str]


def history(
    releases: Sequence[str], recorder: Recorder, clone: Clone | None
) -> Iterator[tuple[Pair, list[Change]]]:
    """(old, new), changes along the releases; inside a series only where its ends differ."""

    def between(old: str, new: str) -> list[Change]:
        return list(changes(recorder.release(old), recorder.release(new), recorder.backend))

    for series in serial(releases):
        whole = between(series[0], series[-1])
        inside = len(series) > 2 and whole
        for pair in itertools.pairwise(series) if inside else [(series[0], series[-1])]:
            found = explained(between(*pair), recorder)
            yield pair, list(with_commits(found, recorder, clone)) if clone else found


def serial(releases: Sequence[str]) -> Iterator[Sequence[str]]:
    """Pieces of the list from the last release of one series to the last of the next."""
    minor = [release.split(".")[:2] for release in releases]
    ends = [at for at in range(len(releases)) if minor[at : at + 2] != [minor[at]] * 2]
    starts = [0, *ends] if ends[0] else ends
    return (releases[low : high + 1] for low, high in itertools.pairwise(starts))


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

    def along(backend: str) -> list[tuple[Pair, list[Change]]]:
        return list(history(releases, Recorder(backend, options.results), clone))

    pairs: dict[Pair, list[Change]] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        for backend in pool.map(along, backends):
            for pair, found in backend:
                pairs.setdefault(pair, []).extend(found)
    options.output.write_text(page(pairs, releases, backends), encoding="utf-8")
    count = sum(map(len, pairs.values()))
    print(f"{count} changes over {len(releases)} releases: {options.output}")


if __name__ == "__main__":
    main()
