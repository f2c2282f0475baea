"""One inner pytest run under overlays: its command, its environment, and what it says afterwards.

Values here travel to other processes and machines (executors): they pickle.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import StackError
from ..outcomes import TestOutcome, checked_log, test_from_json
from .overlay import overlay_environment
from .process import run_tree
from .proof import Sighting, comes_from_overlay, expectation
from .witness import WITNESS

_TAIL = 100_000


@dataclass(frozen=True, slots=True)
class Pin:
    """One package in one version, and its overlay folder."""

    package: str
    version: str
    overlay: Path

    @property
    def modules(self) -> tuple[str, ...]:
        """The names it is imported under: as it is called, else what its overlay holds.

        scikit-learn is `sklearn`, pyyaml is `yaml`.
        """
        called = self.package.replace("-", "_")
        names = sorted(filter(None, map(_importable, self.overlay.iterdir())))
        public = [n for n in names if n not in _INCIDENTAL and not n.startswith("_")]
        return (called,) if called in names or not public else tuple(public)

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def _importable(entry: Path) -> str | None:
    if (entry / "__init__.py").is_file():
        return entry.name
    return entry.stem if entry.suffix == ".py" else None


_INCIDENTAL = frozenset({"test", "tests", "docs", "examples"})
"""What careless wheels bring along, and the user's own folders may well be called."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. arguments: the user's own; options: ours; timeout in seconds.

    place: where log and output of this run lie; `run.json` in it tells that they are whole.
    own_cache: pytest's cache folder is this run's own, not the suite's.
    """

    pins: tuple[Pin, ...]
    arguments: tuple[str, ...]
    options: tuple[str, ...]
    folder: Path
    place: Path
    timeout: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    own_cache: bool = True

    @property
    def label(self) -> str:
        return str(self.pins[0]) if self.pins else "this environment"


@dataclass(frozen=True, slots=True)
class InnerRun:
    """What an inner run came to. log: the `--golden-log` document, None where it wrote none.

    output: the end of what it printed. lost: the process died of a signal before its end.
    """

    label: str
    exitstatus: int
    seconds: float
    place: Path
    log: Mapping[str, Any] | None = None
    output: str = ""
    timed_out: bool = False

    @property
    def lost(self) -> bool:
        return self.exitstatus < 0 and not self.timed_out

    @property
    def tests(self) -> dict[str, TestOutcome]:
        entries = (self.log or {}).get("tests", ())
        return {test.nodeid: test for test in map(test_from_json, entries)}

    @property
    def broken_collections(self) -> tuple[str, ...]:
        return tuple((self.log or {}).get("collection_errors", ()))

    @property
    def last_line(self) -> str:
        return self.output.strip().rpartition("\n")[2].strip("= ")

    def why(self) -> str:
        """Why there is no log, in a line or two, with the end of the output."""
        if self.timed_out:
            return f"did not end within its time-out and was ended after {self.seconds:.0f} s"
        if self.lost:
            return f"died of signal {-self.exitstatus}"
        said = [line for line in self.output.strip().splitlines() if line.strip()]
        return f"ended with pytest's code {self.exitstatus}: " + "\n".join(said[-12:])


def run_inner(job: Job, stop: threading.Event | None = None) -> InnerRun:
    """Run the job, or take what an earlier run of the same job left whole in its place.

    Raises StackError where the process ran something else than its overlays.
    """
    kept = _kept(job.place)
    if kept is not None:
        return kept
    attempt = job.place.with_name(f".{job.place.name}-{os.getpid()}-{threading.get_ident()}")
    shutil.rmtree(attempt, ignore_errors=True)
    (attempt / "witness").mkdir(parents=True)
    try:
        finished = run_tree(
            command(job, attempt),
            environment=_environment(job, attempt),
            folder=job.folder,
            output=attempt / "output.txt",
            timeout=job.timeout,
            stop=stop,
        )
        run = _read(job, attempt, finished.exitstatus, finished.seconds, finished.timed_out)
        _demand_proof(job, attempt, run)
        _keep(run, attempt, job.place)
        return run
    finally:
        shutil.rmtree(attempt, ignore_errors=True)


def command(job: Job, attempt: Path) -> list[str]:
    """The inner run's command line: pytest with our options behind the user's own."""
    ours = [
        *("-p", "keras_golden", "-p", "pytest_keras_golden.versions.witness"),
        # `--option=value` throughout: pytest takes an existing path in an argument of its own for
        # a test path when it looks for the rootdir, and node ids would change with it.
        f"--golden-log={attempt / 'log.json'}",
    ]
    if job.own_cache:
        # Parallel runs must not race for the suite's cache, nor leave their failures in it.
        ours += ["-o", f"cache_dir={attempt / 'cache'}"]
    return [sys.executable, "-m", "pytest", *job.arguments, *ours, *job.options]


def _environment(job: Job, attempt: Path) -> dict[str, str]:
    environment = overlay_environment([pin.overlay for pin in job.pins])
    expected = {name: pin.overlay for pin in job.pins for name in pin.modules}
    environment |= expectation(expected)
    environment |= {WITNESS: str(attempt / "witness"), "PYTHONUNBUFFERED": "1"}
    # The outer command summarises; every inner run would add a summary of its own.
    environment["GITHUB_STEP_SUMMARY"] = ""
    return environment | dict(job.environment)


def _read(job: Job, attempt: Path, exitstatus: int, seconds: float, timed_out: bool) -> InnerRun:
    text = (attempt / "output.txt").read_text(encoding="utf-8", errors="replace")
    try:
        log = checked_log((attempt / "log.json").read_bytes())
    except (OSError, ValueError):
        log = None
    return InnerRun(
        label=job.label,
        exitstatus=exitstatus,
        seconds=seconds,
        place=job.place,
        log=log,
        output=text[-_TAIL:],
        timed_out=timed_out,
    )


def _demand_proof(job: Job, attempt: Path, run: InnerRun) -> None:
    """Every process of the run must have seen each package in its overlay and nowhere else."""
    proofs = [json.loads(path.read_text()) for path in (attempt / "witness").glob("*.json")]
    shadowed = [seen for proof in proofs for seen in _shadowed(proof)]
    if shadowed:
        raise StackError(
            f"{run.label}: the inner run imports {shadowed[0]['file']}, which lies outside its "
            f"overlay {shadowed[0]['folder']}: something shadows the version under test.",
            "Look for it in pytest's `pythonpath` setting, the working directory "
            f"({job.folder}), a conftest.py that changes sys.path, or an editable install.",
        )
    if run.log is not None and not proofs:
        raise StackError(f"{run.label}: the inner run left no proof of what it imported.")


def _shadowed(proof: Mapping[str, Sighting]) -> list[Sighting]:
    return [seen for seen in proof.values() if not comes_from_overlay(seen)]


def _keep(run: InnerRun, attempt: Path, place: Path) -> None:
    kept = {"exitstatus": run.exitstatus, "seconds": run.seconds, "label": run.label}
    # A run that was ended or died is tried again next time; only a whole one is kept.
    if run.lost or run.timed_out:
        return
    (attempt / "run.json").write_text(json.dumps(kept), encoding="utf-8")
    place.mkdir(parents=True, exist_ok=True)
    for name in ("log.json", "output.txt", "run.json"):
        if (attempt / name).exists():
            (attempt / name).replace(place / name)


def _kept(place: Path) -> InnerRun | None:
    """An earlier whole run; `run.json` is put there last."""
    try:
        kept = json.loads((place / "run.json").read_text(encoding="utf-8"))
        output = (place / "output.txt").read_text(encoding="utf-8", errors="replace")
        log = place / "log.json"
        return InnerRun(
            **kept,
            place=place,
            log=checked_log(log.read_bytes()) if log.exists() else None,
            output=output[-_TAIL:],
        )
    except (OSError, ValueError, TypeError):
        return None


def forget(run: InnerRun) -> None:
    """Do not take this run for a finished one when its job is run again."""
    (run.place / "run.json").unlink(missing_ok=True)


def record_options(goldens: Path, transplant: Path) -> tuple[str, ...]:
    """Options of the run that records goldens, and weights and inputs for the later runs."""
    updating = ("--update-goldens", "--update-goldens-mode=all", "--update-goldens-in-ci")
    saved = f"--golden-transplant=save:{transplant}"
    return (*_APART, f"--goldens-dir={goldens}", *updating, saved)


def check_options(
    goldens: Path, baseline: str, transplant: Path, candidates: Path
) -> tuple[str, ...]:
    """Options of a run that is compared with the recording made under Keras `baseline`."""
    loaded = f"--golden-transplant=load:{transplant}"
    compared = (f"--goldens-dir={goldens}", f"--golden-baseline={baseline}")
    return (*_APART, *compared, loaded, f"--golden-output={candidates}")


_APART = (
    *("--golden-auto", "--continue-on-collection-errors", "--maxfail=0"),
    # Isolation tensors are wanted whatever their size.
    *("-o", "golden_max_size=1048576GiB"),
)
