"""What it costs at least to look into training on jax without changing what a test is given.

    KERAS_GOLDEN_KERAS_REPO=CLONE python benchmarks/training_floor.py [--tests PATH …] [--pairs 2]

What jax compiles it may fuse otherwise where something is handed over from inside, so recorded
steps run twice: for the test as they are, and once more, watched. The floor is a plugin that runs
the same steps twice and does nothing else (`adopted/twice.py`): no recording of this kind is
cheaper, nor any check of steps that are not the golden's own. Those that are run once: checking
against goldens of the same stack, as it is measured here, may be cheaper than the floor. All runs
share a filled compilation cache; processor times are ratios to the run without any plugin right
before them, the median of the pairs. `golden side` is recording as a gate's old side does, without
twins.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from adopted.place import PLAIN, Place
from adopted.suites import SUITES

FLOOR = (*PLAIN, "-p", "adopted.twice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="a part of the suite")
    parser.add_argument("--pairs", type=int, default=2)
    options = parser.parse_args()
    suite = next(one for one in SUITES if one.name == "keras-training")
    suite = replace(suite, tests=tuple(options.tests)) if options.tests else suite
    own = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(suite, Path(scratch))
        place.export()
        # Fills the cache with the programs of each kind.
        for options_of_run in (PLAIN, FLOOR):
            place.run(*options_of_run)
        place.automatic("--update-goldens")
        found: dict[str, list[float]] = {
            "floor": [],
            "checking": [],
            "recording": [],
            "golden side": [],
        }
        for _ in range(options.pairs):
            plain = place.run(*PLAIN).processor
            found["floor"].append(place.run(*FLOOR).processor / plain)
            found["checking"].append(place.automatic().processor / plain)
            recorded = place.automatic("--update-goldens")
            found["recording"].append(recorded.processor / plain)
            found["golden side"].append(place.golden_side().processor / plain)
    for name, ratios in found.items():
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name}: {statistics.median(ratios):.2f} × the plain suite ({each})")


if __name__ == "__main__":
    main()
