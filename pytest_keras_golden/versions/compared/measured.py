"""The runs of a suite under a side: one records, the others are compared with what it left."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...compare.counterparts import of_two_families
from ...errors import StackError
from ...stacks.side import Side
from ..inner.importing import demand_importable
from ..inner.job import InnerRun, Job
from ..inner.jobs import Runner, run_all
from ..inner.progress import Progress
from ..inner.run import SHARED_DRAWS, check_options, forget, plain_options, record_options
from ..trace.compilations import folder_of
from ..trace.selected import selection
from .demands import demand_a_measure


@dataclass(frozen=True, slots=True)
class Suite:
    """What is run: pytest's arguments, in which folder, for how long at most (seconds).

    left_out: files that the command itself writes, which are no input of the suite. shared_draws:
    layers draw from a stream that every backend has, since the sides are of several.
    """

    arguments: tuple[str, ...]
    folder: Path
    timeout: float | None = None
    left_out: tuple[Path, ...] = ()
    shared_draws: bool = False


def record(
    side: Side,
    suite: Suite,
    place: Path,
    where: Runner,
    progress: Progress | None = None,
    label: str | None = None,
    options: tuple[str, ...] = (),
    only: Collection[str] | None = None,
) -> InnerRun:
    """The recording run: its goldens, weights and call inputs lie in `place` afterwards. only: of
    these tests."""
    options = (*record_options(place / "goldens", place / "weights"), *options)
    makes = (place / "goldens", place / "weights")
    label = label or side.label
    job = _job(side, suite, place / "runs" / "first", options, makes)
    job = _narrowed(job, only) if only else job
    run = run_all({label: job}, where, progress)[label]
    try:
        if run.log is None or not any(t.outcome == "recorded" for t in run.tests.values()):
            demand_importable(side, suite.folder)
        demand_a_measure(side, run)
    except StackError:
        # Whatever spoilt it may be gone when the same command is given again.
        forget(run)
        raise
    return run


def check_job(
    name: str,
    side: Side,
    suite: Suite,
    place: Path,
    first: InnerRun,
    only: Collection[str] | None = None,
    against: InnerRun | None = None,
) -> Job:
    """A run of `side`, compared with what `record` left in `place`. only: these tests. against: the
    run under the recording's side whose candidates are compared with instead."""
    run = place / "runs" / folder_name(name)
    candidates = run / _CANDIDATES
    goldens = place / "goldens" if against is None else against.place / _CANDIDATES
    recorded = goldens, baseline_of(first), place / "weights"
    options = check_options(*recorded, candidates, _across(side, first))
    given = (goldens, place / "weights")
    job = _job(side, suite, run, options, (candidates,), given)
    return _narrowed(job, only) if only else job


def plain_job(side: Side, suite: Suite, place: Path, only: Collection[str]) -> Job:
    """A run of these tests without anything that they did not ask for."""
    run = place / "runs" / "plain"
    goldens = run / "goldens"
    return _narrowed(_job(side, suite, run, plain_options(goldens), (goldens,)), only)


def _narrowed(job: Job, only: Collection[str]) -> Job:
    chosen = selection(job.place.with_name(f"{job.place.name}.only.json"), only)
    return replace(job, environment={**job.environment, **chosen})


_CANDIDATES = "candidates"


def folder_name(name: str) -> str:
    """Of the run of that name: a side may be a path, and must not lead out of the workspace."""
    if re.fullmatch(r"[\w+][\w.+, -]*", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return re.sub(r"[^\w+-]", "_", name)[:40] + f"-{digest}"


def _job(
    side: Side,
    suite: Suite,
    place: Path,
    options: tuple[str, ...],
    makes: tuple[Path, ...],
    given: tuple[Path, ...] = (),
) -> Job:
    return Job(
        pins=side.pins,
        arguments=suite.arguments,
        options=(*options, SHARED_DRAWS) if suite.shared_draws else options,
        folder=suite.folder,
        place=place,
        timeout=suite.timeout,
        environment=side.variables,
        makes=makes,
        given=given,
        left_out=suite.left_out,
        # What another interpreter has installed is not watched.
        resumes=side.python is None,
        called=side.text,
        python=side.python,
        # Runs lie in one folder of the command's.
        compiled=folder_of(side, place.parent.parent),
    )


def _across(side: Side, first: InnerRun) -> list[str]:
    """What the recording differs in on purpose: sides that name it are compared all the same."""
    backend, recorded = side.parts.get("backend"), stack_of(first).get("backend")
    differs = backend is not None and recorded is not None and backend != recorded
    # Keras 2 on TensorFlow and Keras 3 on it are two implementations as well.
    differs = differs or of_two_families(side.parts.get("keras", ""), stack_of(first).get("keras"))
    policy = ["policy"] if "policy" in side.parts else []
    ran = {test.stack.get("run") for test in first.tests.values() if test.stack}
    elsewhere = ["run"] if ran - {side.parts.get("run")} else []
    return [*([str(recorded)] if differs else []), *policy, *elsewhere]


def stack_of(first: InnerRun) -> Mapping[str, Any]:
    return (first.log or {}).get("stack") or {}


def baseline_of(first: InnerRun) -> str:
    """The Keras version that the recording run says it ran."""
    version = stack_of(first).get("keras")
    if version is None:
        raise StackError(
            f"{first.label}: no test of the suite runs Keras; nothing can be compared.",
            "Name the tests that do behind `--`.",
        )
    return str(version)
