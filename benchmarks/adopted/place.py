"""A suite exported from its clone, and pytest and the gate run on it, each a process of its own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pytest_keras_golden.outcomes import TestOutcome, test_from_json
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

from .suites import Suite

PLAIN = ("-p", "no:keras_golden")
WRITTEN = ("-p", "no:randomly")
SHUFFLED = ("-p", "no:xdist", "--randomly-seed=16", "--randomly-dont-reset-seed")
WORKERS = (*WRITTEN, "-n", "2")
GATE = (sys.executable, "-m", "pytest_keras_golden.cli", "gate")


@dataclass(frozen=True)
class Run:
    """One pytest process: what became of each test, and how long it took (seconds)."""

    passed: frozenset[str]
    failed: frozenset[str]
    wall: float
    processor: float
    outcomes: tuple[TestOutcome, ...]


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
        """The tests as their revision has them, and an ini file that names them."""
        self.folder.mkdir(parents=True)
        repository = os.environ[self.suite.variable]
        git = ["git", "-C", repository, "archive", self.suite.revision, *self.suite.exported]
        archive = subprocess.run(git, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "x"], cwd=self.folder, input=archive, check=True)
        if self.suite.strip:
            for file in sorted(self.folder.rglob("*_test.py")):
                self._stripped(file)
            shutil.rmtree(self.folder / self.suite.exported[0].partition("/")[0])
        ini = f"[pytest]\npython_files = *_test.py test_*.py\n{self.suite.ini}"
        (self.folder / "pytest.ini").write_text(ini)

    def _stripped(self, file: Path) -> None:
        parts = file.relative_to(self.folder).parts
        place = self.folder.joinpath(*parts[self.suite.strip :])
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)

    def files(self) -> list[str]:
        parts = [self.folder / part for part in self.suite.tests]
        found = {p for part in parts for p in (part.rglob("*.py") if part.is_dir() else [part])}
        return [
            str(path.relative_to(self.folder))
            for path in sorted(found)
            if path.name.startswith("test_") or path.name.endswith("_test.py")
            if not any(w in path.name for w in self.suite.without)
        ]

    def run(self, *options: str, order: Sequence[str] = WRITTEN) -> Run:
        """One pytest process under the old release. Raises where it did not get through."""
        self.log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", *order, *options]
        command += [f"--junitxml={self.junit}", *self.selected()]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        ended, said = self._process(command, self._environment(self.suite.old))
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended not in (0, 1):
            raise SystemExit(f"pytest ended with {ended}: {said.read_text()}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        outcomes: tuple[TestOutcome, ...] = ()
        if self.log.exists():
            log = json.loads(self.log.read_text(encoding="utf-8"))
            outcomes = tuple(map(test_from_json, log["tests"]))
        return Run(*_results(self.junit), wall, used, outcomes)

    def automatic(
        self, *options: str, order: Sequence[str] = WRITTEN, goldens: str = "goldens"
    ) -> Run:
        folder = f"--goldens-dir={self.root / goldens}"
        log = f"--golden-log={self.log}"
        return self.run("--golden-auto", folder, log, *options, order=order)

    def golden_side(self) -> Run:
        """Recorded as the old side of a gate is: without twins, which drifting tests get later."""
        return self.automatic("--update-goldens", "--golden-twins=later", goldens="side")

    def gate(self) -> dict[str, Any]:
        """What `keras-golden gate` says of the bump. Raises where it came to nothing."""
        written = self.root / "gate.json"
        command = [*GATE, self.suite.old, self.suite.new, f"--json={written}", "--"]
        command += [*WRITTEN, *self.selected()]
        ended, said = self._process(command, self._environment())
        if not written.exists():
            raise SystemExit(f"the gate ended with {ended}: {said.read_text()}")
        found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
        return found

    def _process(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, Path]:
        """Exit code and where its words are."""
        said = self.root / f"{len(list(self.root.glob('*.txt')))}.txt"
        with said.open("w") as told:
            done = subprocess.run(
                command, check=False, cwd=self.folder, env=environment, stdout=told, stderr=told
            )
        return done.returncode, said

    def selected(self) -> list[str]:
        """Arguments of pytest that name its tests."""
        left_out = f"not ({self.suite.deselected})"
        select = ["-k", left_out] if self.suite.deselected else []
        return ["-p", "no:cacheprovider", *self.files(), *select]

    def _environment(self, release: str = "") -> dict[str, str]:
        """release: of Keras, laid in front of everything; a gate does so itself."""
        wanted = [*([("keras", release)] if release else []), *self.suite.requires]
        folders = [ensure_overlay(name, version) for name, version in wanted]
        source = [self.folder / part for part in self.suite.source]
        own = {"KERAS_BACKEND": self.suite.backend, "GITHUB_STEP_SUMMARY": "", "CI": ""}
        # Without bytecode every process would compile the plugin, but nothing that is installed.
        own |= {"PYTHONDONTWRITEBYTECODE": ""}
        return {**overlay_environment([*folders, *source]), **self._cache(), **own}

    @property
    def cached(self) -> bool:
        """Whether the compilation cache was filled by an earlier study in the same folder."""
        return self.cold or (self.root / "cache").exists()

    def _cache(self) -> dict[str, str]:
        if self.cold:
            return {}
        return {
            "JAX_COMPILATION_CACHE_DIR": str(self.root / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }


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
