"""The runs of a gate: one records, one is compared with it, and both may be asked for again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ...report.wording import plural
from ...stacks.side import Side
from ..inner.job import InnerRun, Job
from ..inner.jobs import Runner, run_all
from ..inner.progress import FirstVerdict, Progress
from ..inner.run import TWINS_LATER, TWINS_NOW
from ..inner.workspace import RUNS
from .measured import Suite, check_job, plain_job, record


@dataclass(frozen=True)
class Reruns:
    """A suite under two sides, in `place`. `only` are the node ids of a run, None for all."""

    old: Side
    new: Side
    suite: Suite
    place: Path
    where: Runner
    told: Progress

    @cached_property
    def first(self) -> InnerRun:
        """The recording. Raises StackError where the old side cannot serve as a measure."""
        label = f"run 1 of 2: {self.old.label}"
        return record(
            self.old, self.suite, self.place, self.where, self.told, label, (TWINS_LATER,)
        )

    @cached_property
    def compared(self) -> InnerRun:
        label = f"run 2 of 2: {self.new.label}"
        job = check_job("new", self.new, self.suite, self.place, self.first)
        watching = FirstVerdict(self.told, self.new.label, self.first)
        return run_all({label: job}, self.where, watching, {label: self.first.seconds})[label]

    def old_again(self, only: Collection[str] | None) -> InnerRun:
        """Leaves goldens with twins."""
        name = "again" if only else "again-whole"
        job = check_job(name, self.old, self.suite, self.place, self.first, only)
        job = replace(job, options=(*job.options, TWINS_NOW))
        return self._run(f"{self.old.label} again, {_counted(only)}", job)

    def new_again(self, only: Collection[str] | None, against: InnerRun | None) -> InnerRun:
        """Compared with what `old_again` left, or with the recording."""
        name = "new-again" if only else "new-again-whole"
        job = check_job(name, self.new, self.suite, self.place, self.first, only, against)
        return self._run(f"{self.new.label} again, {_counted(only)}", job)

    def old_plainly(self, only: Collection[str]) -> InnerRun:
        """Leaves alone what does not ask for the plugin."""
        job = plain_job(self.old, self.suite, self.place, only)
        return self._run(f"{self.old.label}, nothing recorded, {_counted(only)}", job)

    def alike(self, only: Collection[str]) -> tuple[InnerRun, InnerRun]:
        """A recording and what is compared with it, both drawing from one stream of numbers."""
        drawing, apart = replace(self.suite, shared_draws=True), self.place / RUNS / "one-stream"
        how = f"numbers from one stream, {_counted(only)}"
        label = f"{self.old.label}, {how}"
        recorded = record(self.old, drawing, apart, self.where, self.told, label, only=only)
        job = check_job("new", self.new, drawing, apart, recorded, only)
        return recorded, self._run(f"{self.new.label}, {how}", job)

    def _run(self, label: str, job: Job) -> InnerRun:
        return run_all({label: job}, self.where, self.told)[label]


def _counted(only: Collection[str] | None) -> str:
    return plural(len(only), "test") if only else "the whole suite"
