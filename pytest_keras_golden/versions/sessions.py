"""`pytest --keras-versions=LIST`: the session as the user asked for it, once per Keras version.

Unlike `matrix`, it uses the suite's own goldens and options, so `--update-goldens` records under
every version and a plain run checks what is recorded.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError, StackError
from ..io.atomic import write_whole
from ..io.ownership import claim, remove
from ..io.process import run_tree
from ..report import escape
from ..report.output import flush, say, writing_to
from ..report.summary import verdict_of
from ..stacks.overlay.neighbours import ensure_runnable
from ..stacks.overlay.releases import resolve
from ..stacks.pin import Pin
from ..stacks.side import Side
from .inner.job import InnerRun, Job
from .inner.marked import MARKED
from .inner.run import run_inner
from .trace.compilations import folder_of
from .trace.proof import EXPECT

HOLDS, FAILED, USAGE = 0, 1, 4
"""pytest's own codes."""


def is_inner() -> bool:
    """Whether this process is one of those runs already (the option is then to be left alone)."""
    return EXPECT in os.environ


def run_session_per_version(
    versions: str, arguments: Sequence[str], folder: Path, log: str | None = None
) -> int:
    """Run `pytest arguments` in `folder` under every version that `versions` means; pytest's code.

    versions: as `keras-golden matrix` takes them, or `marked`: the exact versions that
    `keras_versions` markers name. `{version}` in an argument stands for the version of each run.
    log: what `--golden-log` was given; without `{version}` in it the version goes before its
    suffix. Writes each run's output and a table to standard output.
    Raises ConfigError or StackError where no version can be run.
    """
    place = claim(Path(tempfile.mkdtemp(prefix="keras-golden-")))
    try:
        specs = marked_versions(arguments, folder, place) if versions == "marked" else [versions]
        asked = resolve(specs)
        logs = {} if log is None else {v: _log_of(v, folder / log) for v in asked}
        for target in logs.values():
            _demand_a_log(target)
        runs = {v: _run(v, arguments, folder, place) for v in asked}
        _copy_logs(runs, logs)
    finally:
        remove(place)
    say(f"\n{table(runs)}")
    return worst_code([run.exitstatus for run in runs.values()])


def _run(version: str, arguments: Sequence[str], folder: Path, place: Path) -> InnerRun:
    pin = Pin("keras", version, ensure_runnable("keras", version))
    own = tuple(argument.replace("{version}", version) for argument in arguments)
    compiled = folder_of(Side((pin,)), place)
    job = Job((pin,), own, (), folder, place / version, own_cache=False, compiled=compiled)
    say(f"==== keras {version} " + "=" * 60)
    run = run_inner(job)
    output = job.place / "output.txt"
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else run.output
    say(text.removesuffix("\n"))
    flush()
    return run


def _log_of(version: str, log: Path) -> Path:
    name = log.name.replace("{version}", version)
    return log.with_name(f"{log.stem}-{version}{log.suffix}" if name == log.name else name)


def _demand_a_log(target: Path) -> None:
    """Nobody named this very file: one that is there and no log of ours is not written over."""
    from ..report.logs import read_log

    if target.exists():
        try:
            read_log(target)
        except ConfigError as error:
            raise ConfigError(
                f"{target} is there and no log of golden tests.",
                "Move it away, or name another one: --golden-log=FILE",
            ) from error


def _copy_logs(runs: Mapping[str, InnerRun], logs: Mapping[str, Path]) -> None:
    for version, target in logs.items():
        source = runs[version].place / "log.json"
        if source.exists():
            _copy(source, target)


def _copy(log: Path, target: Path) -> None:
    with writing_to("--golden-log=FILE"):
        write_whole(target, log.read_text(encoding="utf-8"))


def worst_code(codes: Sequence[int]) -> int:
    """One code for many sessions: pytest's own where they agree; a failure before a success."""
    bad = [code for code in codes if code not in (HOLDS, FAILED)]
    if bad:
        return bad[0] if bad[0] > 0 else FAILED
    return max(codes)


def table(runs: Mapping[str, InnerRun]) -> str:
    """Tests down, versions across: each test's verdict as its own session judged it."""
    from rich.table import Table

    shown = Table()
    shown.add_column("golden test", overflow="fold")
    for version in runs:
        shown.add_column(version)
    tests = dict.fromkeys(nodeid for run in runs.values() for nodeid in run.tests)
    for nodeid in tests:
        words = (_word(run, nodeid) for run in runs.values())
        shown.add_row(*map(escape.text, (nodeid, *words)))
    codes = (f"exit {run.exitstatus}" for run in runs.values())
    shown.add_section()
    shown.add_row("session", *codes)
    console = escape.console()
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def _word(run: InnerRun, nodeid: str) -> str:
    outcome = run.tests.get(nodeid)
    if outcome is None:
        return escape.first_line(run.why()) if run.log is None else "-"
    verdict = verdict_of(outcome)
    if verdict != "passed":
        return verdict
    return "not looked at" if outcome.unseen else "no tensors"


def marked_versions(arguments: Sequence[str], folder: Path, place: Path) -> list[str]:
    """The exact versions named by `keras_versions` markers of the tests `arguments` select."""
    listing = place / "marked.json"
    command = [sys.executable, "-m", "pytest", "-p", "pytest_keras_golden.versions.inner.marked"]
    finished = run_tree(
        [*command, *arguments, "--collect-only", "-q"],
        environment={**os.environ, MARKED: str(listing), EXPECT: "{}"},
        folder=folder,
        output=place / "marked.txt",
    )
    if not listing.exists():
        said = (place / "marked.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise StackError(f"Collecting marked tests ended with {finished.exitstatus}:\n{said}")
    versions: list[str] = json.loads(listing.read_text(encoding="utf-8"))
    if not versions:
        raise ConfigError(
            "--keras-versions=marked, but no marker names an exact version.",
            "Write @pytest.mark.keras_versions('3.5.0'), or name versions: --keras-versions=3.5.0",
        )
    return versions
