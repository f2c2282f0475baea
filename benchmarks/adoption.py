"""Automatic capture on suites that nobody here wrote: what it breaks, misses, costs and finds.

    KERAS_GOLDEN_KERAS_REPO=CLONE KERAS_GOLDEN_KERAS_HUB_REPO=CLONE \\
        python benchmarks/adoption.py [--only keras] [--cold] [--tests PATH …] [--json FILE]

Per suite, each run a process of its own, nothing in the suite edited: without the plugin, to fill
jax's compilation cache, which all runs share; without the plugin; recording with `--golden-auto`;
checked under the same release, where every failure is a false alarm; between and after these
without the plugin once more, for the noise of the time; then under a newer Keras, compared with
the recording, weights and call inputs carried over as `keras-golden gate` does, and what fails
there once more without the plugin. The cache makes the suites faster and so what the plugin adds
larger in proportion: the programs that it watches are not cached. `--cold` leaves the cache out,
as jax does by default, and ends with the times. The clones are ordinary ones (bare will do) with
release tags; a suite without its variable is left out. Exits 1 where a test that passes without the
plugin fails with it under the same release.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pytest_keras_golden.outcomes import TestOutcome, test_from_json
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment
from pytest_keras_golden.store.codec import Golden

OVERHEAD = 1.15
PLAIN = ("-p", "no:keras_golden")
EVERYTHING = ("--update-goldens", "--update-goldens-mode=all")
HUB_FAMILIES = (
    *("albert", "bart", "bert", "bloom", "deberta_v3", "distil_bert", "electra", "f_net"),
    *("falcon", "gemma", "gemma3", "gpt2", "gpt_neo_x", "llama", "mistral", "mixtral"),
    *("moonshine", "opt", "phi3", "qwen3_moe", "resnet", "roberta", "roformer_v2", "smollm3"),
    *("t5", "vit", "whisper"),
)


@dataclass(frozen=True)
class Suite:
    """Where the tests come from, which of them run, and under which two Keras releases.

    strip: leading folders that the exported tests lose, so that their own package does not shadow
    the release under test. without: parts of file names that are left out.
    deselected: the names of tests that are, too, as `-k` takes them.
    """

    name: str
    variable: str
    tag: str
    exported: tuple[str, ...]
    tests: tuple[str, ...]
    old: str
    new: str
    strip: int = 0
    without: tuple[str, ...] = ()
    deselected: str = ""


SUITES = (
    Suite(
        "keras",
        "KERAS_GOLDEN_KERAS_REPO",
        "v3.14.1",
        ("keras/src/layers", "conftest.py"),
        ("activations", "attention", "normalization"),
        old="3.14.1",
        new="3.15.1",
        strip=3,
    ),
    Suite(
        "keras-hub",
        "KERAS_GOLDEN_KERAS_HUB_REPO",
        "v0.23.0",
        ("keras_hub", "conftest.py"),
        tuple(f"keras_hub/src/models/{family}" for family in HUB_FAMILIES),
        old="3.10.0",
        new="3.15.1",
        # No models in the first two; the rest takes minutes each, or fails on a jax of today.
        without=("tokenizer", "preprocessor", "classifier"),
        deselected="causal_lm_basics or generate or stopping or beam_search or lora or session",
    ),
)


@dataclass(frozen=True)
class Run:
    """One pytest process: what became of each test, and how long it took (seconds)."""

    passed: frozenset[str]
    failed: frozenset[str]
    wall: float
    processor: float
    outcomes: tuple[TestOutcome, ...]


# -- running --------------------------------------------------------------------------------


class Place:
    """A folder with the exported suite, and the runs in it."""

    def __init__(self, suite: Suite, root: Path, cold: bool = False) -> None:
        self.suite = suite
        self.cold = cold
        self.root = root / suite.name
        self.folder = self.root / "suite"
        self.log = self.root / "outcomes.json"
        self.junit = self.root / "junit.xml"

    def export(self) -> None:
        """The tests as their tag has them, and an ini file that names them."""
        self.folder.mkdir(parents=True)
        repository = os.environ[self.suite.variable]
        git = ["git", "-C", repository, "archive", self.suite.tag, *self.suite.exported]
        archive = subprocess.run(git, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "x"], cwd=self.folder, input=archive, check=True)
        if self.suite.strip:
            for file in sorted(self.folder.rglob("*_test.py")):
                self._stripped(file)
            shutil.rmtree(self.folder / self.suite.exported[0].partition("/")[0])
        (self.folder / "pytest.ini").write_text("[pytest]\npython_files = *_test.py\n")

    def _stripped(self, file: Path) -> None:
        parts = file.relative_to(self.folder).parts
        place = self.folder.joinpath(*parts[self.suite.strip :])
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)

    def files(self) -> list[str]:
        found = [path for part in self.suite.tests for path in (self.folder / part).rglob("*.py")]
        return [
            str(path.relative_to(self.folder))
            for path in sorted(found)
            if path.name.endswith("_test.py")
            and not any(w in path.name for w in self.suite.without)
        ]

    def run(self, release: str, *options: str) -> Run:
        """One pytest process under a Keras release. Raises where it did not get through."""
        self.log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options]
        command += ["-p", "no:cacheprovider", f"--junitxml={self.junit}", *self.files()]
        command += ["-k", f"not ({self.suite.deselected})"] if self.suite.deselected else []
        overlay = overlay_environment([ensure_overlay("keras", release)])
        environment = {**overlay, **self.cache(), "GITHUB_STEP_SUMMARY": "", "CI": ""}
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with (self.root / f"{len(list(self.root.glob('*.txt')))}.txt").open("w") as said:
            done = subprocess.run(
                command, check=False, cwd=self.folder, env=environment, stdout=said, stderr=said
            )
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 1):
            raise SystemExit(f"pytest ended with {done.returncode}: {Path(said.name).read_text()}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        outcomes: tuple[TestOutcome, ...] = ()
        if self.log.exists():
            log = json.loads(self.log.read_text(encoding="utf-8"))
            outcomes = tuple(map(test_from_json, log["tests"]))
        return Run(*_results(self.junit), wall, used, outcomes)

    @property
    def cached(self) -> bool:
        """Whether the compilation cache was filled by an earlier study in the same folder."""
        return self.cold or (self.root / "cache").exists()

    def cache(self) -> dict[str, str]:
        if self.cold:
            return {}
        return {
            "JAX_COMPILATION_CACHE_DIR": str(self.root / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def automatic(self, release: str, *options: str) -> Run:
        goldens = f"--goldens-dir={self.root / 'goldens'}"
        return self.run(release, "--golden-auto", goldens, f"--golden-log={self.log}", *options)

    def transplant(self, mode: str) -> str:
        return f"--golden-transplant={mode}:{self.root / 'weights'}"


def _results(junit: Path) -> tuple[frozenset[str], frozenset[str]]:
    passed, failed = set(), set()
    for case in ElementTree.parse(junit).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.add(name)
        elif "skipped" not in kinds:
            passed.add(name)
    return frozenset(passed), frozenset(failed)


# -- what came of it ------------------------------------------------------------------------


def study(suite: Suite, root: Path, cold: bool = False) -> dict[str, Any]:
    """All runs of one suite, and what the page says of them."""
    place = Place(suite, root, cold)
    place.export()
    if not place.cached:
        place.run(suite.old, *PLAIN)
    plain = place.run(suite.old, *PLAIN)
    recorded = place.automatic(suite.old, "--update-goldens")
    again = place.run(suite.old, *PLAIN)
    checked = place.automatic(suite.old)
    last = place.run(suite.old, *PLAIN)
    reasons = {
        outcome.nodeid: outcome.reason for outcome in (*recorded.outcomes, *checked.outcomes)
    }
    return {
        "suite": suite.name,
        "tag": suite.tag,
        "releases": [suite.old, suite.new],
        "files": len(place.files()),
        "passed_plain": len(plain.passed),
        "flaky_plain": len(plain.passed ^ again.passed),
        **_captured(recorded),
        "left_alone": sorted({w for o in recorded.outcomes for w in o.warnings}),
        "broken_recording": sorted(plain.passed & recorded.failed),
        "false_alarms": sorted(plain.passed & checked.failed),
        "reasons": {name: reason for name, reason in reasons.items() if reason},
        "identical": _verdicts(checked)["identical"],
        "time": _times((plain, again, last), recorded, checked),
        **({} if cold else {"newer": _under_newer(place, plain)}),
    }


def _under_newer(place: Place, plain: Run) -> dict[str, Any]:
    old, new = place.suite.old, place.suite.new
    place.automatic(old, *EVERYTHING, place.transplant("save"))
    moved = place.automatic(new, place.transplant("load"), f"--golden-baseline={old}")
    return _newer(plain, moved, _failing_anyway(place, plain, moved))


def _captured(run: Run) -> dict[str, Any]:
    taken = [outcome for outcome in run.outcomes if outcome.outcome == "recorded"]
    files = [Path(outcome.golden).stat().st_size for outcome in taken if outcome.golden]
    return {
        "captured": len(taken),
        "tensors": _tensors(taken),
        "golden_bytes": sum(files),
    }


def _tensors(taken: Iterable[TestOutcome]) -> int:
    found = 0
    for outcome in taken:
        with Golden.open(Path(outcome.golden or "")) as golden:
            found += sum(entry.judged for entry in golden.header.tensors)
    return found


def _times(plain: Sequence[Run], recorded: Run, checked: Run) -> dict[str, dict[str, float]]:
    """Ratios to the median of the plain runs; noise is the slowest of these over the fastest."""
    found = {}
    for clock in ("wall", "processor"):
        each = [getattr(run, clock) for run in plain]
        median = statistics.median(each)
        found[clock] = {
            "plain": round(median, 1),
            "noise": round(max(each) / min(each), 3),
            "recording": round(getattr(recorded, clock) / median, 3),
            "checking": round(getattr(checked, clock) / median, 3),
        }
    return found


def _verdicts(run: Run) -> Counter[str]:
    """Compared tests by their worst verdict."""
    return Counter(_worst(outcome) for outcome in run.outcomes if outcome.tensors)


_ORDER = (
    *("incomparable", "structure", "nonfinite", "vacuous", "drift", "systematic"),
    *("accumulated", "within", "identical"),
)


def _worst(outcome: TestOutcome) -> str:
    verdicts = {tensor.verdict for tensor in outcome.tensors if tensor.judged}
    verdicts |= {"systematic"} if outcome.outcome == "failed" and outcome.local_drift else set()
    return next((name for name in _ORDER if name in verdicts), "identical")


def _failing_anyway(place: Place, plain: Run, moved: Run) -> list[str]:
    """Tests that the newer release fails without any golden being compared."""
    compared = {outcome.nodeid for outcome in moved.outcomes if outcome.tensors}
    anyway = {o.nodeid for o in moved.outcomes if o.outcome in ("failed", "error")} - compared
    if not anyway:
        return []
    bare = place.run(place.suite.new, *PLAIN)
    return sorted(plain.passed & bare.failed)


def _newer(plain: Run, moved: Run, anyway: list[str]) -> dict[str, Any]:
    """Under the newer release: tests by verdict, and what failed by the layer that is blamed."""
    blamed: dict[str, list[str]] = defaultdict(list)
    for outcome in moved.outcomes:
        if outcome.outcome == "failed" and outcome.tensors:
            layers = ", ".join(outcome.local_drift) or f"first: {outcome.first_drift}"
            blamed[f"{_worst(outcome)} | {layers}"].append(outcome.nodeid)
    return {
        "fail_without_plugin": anyway,
        "fail_uncompared": sorted(
            o.nodeid for o in moved.outcomes if o.outcome == "failed" and not o.tensors
        ),
        "verdicts": dict(_verdicts(moved)),
        "transplanted": sum(outcome.weights == "transplanted" for outcome in moved.outcomes),
        "blamed": dict(sorted(blamed.items(), key=lambda item: -len(item[1]))),
    }


# -- showing --------------------------------------------------------------------------------


def show(found: dict[str, Any]) -> None:
    old, new = found["releases"]
    print(f"\n{found['suite']} {found['tag']}, {found['files']} files, under Keras {old}")
    print(f"  passed without the plugin   {found['passed_plain']}")
    print(f"  captured                    {found['captured']}, {found['tensors']} tensors")
    print(f"  goldens                     {found['golden_bytes'] / 2**20:.1f} MiB")
    print(f"  broken while recording      {len(found['broken_recording'])}")
    print(f"  false alarms, same release  {len(found['false_alarms'])}")
    for name in sorted({*found["broken_recording"], *found["false_alarms"]}):
        print(f"    {name}")
    for clock, times in found["time"].items():
        print(
            f"  {clock:<10} plain {times['plain']} s, noise {times['noise']}, "
            f"recording × {times['recording']}, checking × {times['checking']} (target {OVERHEAD})"
        )
    if "newer" not in found:
        return
    newer = found["newer"]
    print(f"under Keras {new}: {len(newer['fail_without_plugin'])} fail without the plugin")
    print(f"  compared tests by verdict: {newer['verdicts']}")
    print(f"  weights or inputs carried over in {newer['transplanted']}")
    for layers, tests in newer["blamed"].items():
        print(f"  {len(tests):>4}  {layers}  ({tests[0]})")


def _part(suite: Suite, tests: Sequence[str] | None) -> Suite:
    return replace(suite, tests=tuple(tests)) if tests else suite


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[suite.name for suite in SUITES])
    parser.add_argument("--cold", action="store_true", help="no compilation cache; times only")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="a part of the suite")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="a new folder that holds all runs afterwards")
    options = parser.parse_args(arguments)
    wanted = [suite for suite in SUITES if options.only in (None, suite.name)]
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
    return int(any(entry["broken_recording"] or entry["false_alarms"] for entry in found))


if __name__ == "__main__":
    sys.exit(main())
