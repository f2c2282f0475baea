"""One inner pytest run under overlays: its command, its environment, what it says afterwards."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import StackError
from ...io.ownership import remove, renew
from ...io.process import run_tree
from ...outcomes import checked_log
from ...stacks.overlay.folder import overlay_environment
from ...stacks.pin import Pin
from ..trace import evidence
from ..trace.compilations import COMPILED, QUIETLY
from ..trace.hearing import REFUSED, SWITCHED, WITNESS, prepare
from ..trace.proof import Sighting, comes_from_overlay, expectation
from . import kept
from .job import WITNESS_FOLDER, InnerRun, Job

_TAIL = 100_000


def run_inner(job: Job, stop: threading.Event | None = None) -> InnerRun:
    """Run the job, or take what an earlier run of the same job left whole, where nothing that it
    saw has changed since.

    Raises StackError where the process ran something else than its overlays, ConfigError where a
    folder that it needs to empty is not ours.
    """
    earlier = _earlier(job)
    if earlier is not None:
        return earlier
    for folder in job.makes:
        renew(folder)
    attempt = renew(job.attempt(f"{os.getpid()}-{threading.get_ident()}"))
    try:
        with TemporaryDirectory(prefix="kg-", ignore_cleanup_errors=True) as scratch:
            run = _run(job, attempt, Path(scratch), stop)
        _demand_proof(job, attempt, run)
        if not (run.lost or run.timed_out):
            # One that died or was ended is tried again next time.
            _keep(job, run, attempt)
        return run
    finally:
        remove(attempt)


def _run(job: Job, attempt: Path, scratch: Path, stop: threading.Event | None) -> InnerRun:
    """scratch: this run's own folder for temporary files, an input of none."""
    (attempt / WITNESS_FOLDER).mkdir()
    if job.resumes:
        prepare(attempt / WITNESS_FOLDER, job.left_out, (*job.makes, *job.given, scratch))
    finished = run_tree(
        command(job, attempt),
        environment=_environment(job, attempt, job.pins) | dict.fromkeys(_TEMPORARY, str(scratch)),
        folder=job.folder,
        output=attempt / "output.txt",
        timeout=job.timeout,
        stop=stop,
    )
    return _read(job, attempt, finished.exitstatus, finished.seconds, finished.timed_out)


_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""Where suites put scratch files, under names that another run of theirs uses as well."""


def _keep(job: Job, run: InnerRun, attempt: Path) -> None:
    if job.resumes:
        salt = evidence.new_salt()
        around = evidence.surroundings(*_decided(job), salt)
        gathered = evidence.gather(attempt / WITNESS_FOLDER, (*job.makes, *job.given))
        evidence.write(attempt, gathered, around, salt)
    facts = {"exitstatus": run.exitstatus, "seconds": run.seconds, "label": run.label}
    kept.keep(attempt, job.place, facts)


def _earlier(job: Job) -> InnerRun | None:
    """A finished run of this job whose evidence still holds."""
    known = kept.load(job.place) if job.resumes else None
    if known is None:
        return None
    left_out = map(str, job.left_out)
    if evidence.objection(job.place, *_decided(job), left_out) is not None:
        return None
    if evidence.is_shadowed(job.place, _places(pin for pin in job.pins if pin.own)):
        return None
    told = {"label": job.label, **{key: known[key] for key in ("exitstatus", "seconds", "log")}}
    output = known["output"][-_TAIL:]
    return InnerRun(**told, place=job.place, output=output, reused=known["at"])


def _decided(job: Job) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a job, without what each attempt has of its own."""
    attempt = job.place / "attempt"
    # What is proven of the environment's own packages depends on what the other side changes.
    environment = _environment(job, attempt, [pin for pin in job.pins if not pin.own])
    del environment[WITNESS]
    return command(job, attempt), environment


def command(job: Job, attempt: Path) -> list[str]:
    """The inner run's command line: pytest with our options behind the user's own."""
    first = ["-p", f"{_HERE}.hearing"]
    ours = [
        *("-p", "keras_golden", "-p", f"{_HERE}.witness"),
        # `--option=value` throughout: pytest takes an existing path in an argument of its own for
        # a test path when it looks for the rootdir, and node ids would change with it.
        f"--golden-log={attempt / 'log.json'}",
    ]
    if job.own_cache:
        # Parallel runs must not race for the suite's cache, nor leave their failures in it.
        ours += ["-o", f"cache_dir={attempt / 'cache'}"]
    if job.compiled is not None:
        ours += QUIETLY
    return [
        job.python or sys.executable,
        "-m",
        "pytest",
        *first,
        *job.arguments,
        *ours,
        *job.options,
    ]


_HERE = "pytest_keras_golden.versions.trace"


def _environment(job: Job, attempt: Path, proven: Sequence[Pin]) -> dict[str, str]:
    """proven: what the run is to prove the place of."""
    laid = dict.fromkeys(pin.overlay for pin in job.pins if not pin.own)
    environment = overlay_environment(laid)
    environment |= expectation(_places(proven))
    environment |= {WITNESS: str(attempt / WITNESS_FOLDER), "PYTHONUNBUFFERED": "1"}
    if job.compiled is not None:
        environment[COMPILED] = str(job.compiled)
    # The outer command summarises; every inner run would add a summary of its own.
    environment["GITHUB_STEP_SUMMARY"] = ""
    return environment | dict(job.environment)


def _places(pins: Iterable[Pin]) -> dict[str, Path]:
    """Module → the folder that it must come from."""
    return {name: pin.overlay for pin in pins for name in pin.modules}


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
    """Every process of the run must have seen each package in its overlay and nowhere else, and
    every switch as it was set."""
    witness = attempt / WITNESS_FOLDER
    _demand_switches(job, witness)
    proofs = [json.loads(path.read_text()) for path in witness.glob("*.json")]
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


def _demand_switches(job: Job, witness: Path) -> None:
    for refused in witness.glob(f"*{REFUSED}"):
        problem, fix = json.loads(refused.read_text(encoding="utf-8"))
        raise StackError(f"{job.label}: {problem}", fix)
    for told in witness.glob(f"*{SWITCHED}"):
        for name, (wanted, found) in json.loads(told.read_text(encoding="utf-8")).items():
            if wanted != found:
                raise StackError(
                    f"{job.label}: the run was to have {name}={wanted} and ended with "
                    f"{name}={found}: something in the suite sets it.",
                    "Look for it in a conftest.py, a fixture or pytest's `env` setting.",
                )


def _shadowed(proof: Mapping[str, Sighting]) -> list[Sighting]:
    return [seen for seen in proof.values() if not comes_from_overlay(seen)]


def forget(run: InnerRun) -> None:
    """Do not take this run for a finished one when its job is run again."""
    kept.forget(run.place)


def record_options(goldens: Path, transplant: Path) -> tuple[str, ...]:
    """Options of the run that records goldens, and weights and inputs for the later runs."""
    saved = f"--golden-transplant=save:{transplant}"
    return (*_APART, f"--goldens-dir={goldens}", *_UPDATING, saved)


def plain_options(goldens: Path) -> tuple[str, ...]:
    """Of a run that leaves alone what does not ask for the plugin, and names what passes."""
    alone = ("-o", "golden_auto=false", "-o", "golden_seed=none")
    return (f"--goldens-dir={goldens}", *_UPDATING, *alone, "-rp", "--color=no", *_TO_THE_END)


TWINS_LATER = "--golden-twins=later"
"""Of a recording run whose goldens need no twins unless something moves."""

SHARED_DRAWS = "--golden-draws=shared"
"""Of every run of a gate between backends."""

TWINS_NOW = "--golden-twins=now"
"""Of a run under the recording's side again: its candidates are goldens with twins."""


def check_options(
    goldens: Path, baseline: str, transplant: Path, candidates: Path, across: Sequence[str] = ()
) -> tuple[str, ...]:
    """Options of a run that is compared with the recording made under Keras `baseline`.

    across: what the recording may differ in on purpose: its backend's name, `policy`, `run`.
    """
    loaded = f"--golden-transplant=load:{transplant}"
    compared = (f"--goldens-dir={goldens}", f"--golden-baseline={baseline}")
    differing = (f"--golden-across={','.join(across)}",) if across else ()
    return (*_APART, *compared, *differing, loaded, f"--golden-output={candidates}")


_UPDATING = ("--update-goldens", "--update-goldens-mode=all", "--update-goldens-in-ci")
_TO_THE_END = ("--continue-on-collection-errors", "--maxfail=0")
_APART = (
    *("--golden-auto", *_TO_THE_END),
    # Isolation tensors are wanted whatever their size.
    *("-o", "golden_max_size=1048576GiB"),
)
