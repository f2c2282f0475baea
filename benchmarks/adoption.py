"""Automatic capture on suites that nobody here wrote: what it breaks, misses, costs and finds.

    KERAS_GOLDEN_KERAS_REPO=CLONE KERAS_GOLDEN_KERAS_HUB_REPO=CLONE \\
        python benchmarks/adoption.py [--only keras] [--cold] [--tests PATH …] [--json FILE]

Per suite, each run a process of its own, nothing in the suite edited: without the plugin, to fill
jax's compilation cache, which all runs share; without the plugin; recording with `--golden-auto`;
recording as a gate's old side does, which leaves twins to the tests that drift;
checked under the same release, where every failure is a false alarm; between and after these
without the plugin once more, for the noise of the time; checked in a shuffled order and by two
workers; then `keras-golden gate` over a real bump of Keras. The cache makes the suites faster and
so what the plugin adds larger in proportion: the programs that it watches are not cached. `--cold`
leaves the cache out, as jax does by default, and ends with the times. The clones are ordinary ones
(bare will do) with release tags; a suite without its variable is left out (`adopted/suites.py`
names them all). Exits 1 where a test that passes without the plugin fails with it under the same
release.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adopted.show import ALARMS, show
from adopted.study import study
from adopted.suites import SUITES, Suite


def _part(suite: Suite, tests: Sequence[str] | None) -> Suite:
    return replace(suite, tests=tuple(tests)) if tests else suite


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[suite.name for suite in SUITES])
    parser.add_argument("--cold", action="store_true", help="no compilation cache; times only")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="a part of the suite")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a new folder that holds all runs afterwards")
    options = parser.parse_args(arguments)
    wanted = [suite for suite in SUITES if suite.name in (options.only or [suite.name])]
    there = [suite for suite in wanted if suite.variable in os.environ]
    for suite in wanted:
        if suite not in there:
            print(f"{suite.name}: left out, {suite.variable} names no clone")
    with tempfile.TemporaryDirectory() as scratch:
        root = (options.keep or Path(scratch)).resolve()
        found = [study(_part(suite, options.tests), root, options.cold) for suite in there]
    for suite_found in found:
        show(suite_found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    wrong = ("broken_recording", *ALARMS)
    return int(any(entry.get(kind) for entry in found for kind in wrong))


if __name__ == "__main__":
    sys.exit(main())
