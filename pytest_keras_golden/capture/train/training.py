"""Everything of training that one capture block watches, and the records of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compare.sketch import size_for, sketched
from ...records import TensorRecord
from ..backends import active, is_tensor, to_numpy
from ..record.identity import Identified, Unchanged
from ..record.reads import Reads
from ..replay.optimizers import Exercise
from ..state.slots import optimizers_of
from ..tap.request import Request
from ..tap.training import TrainingSelection
from ..watch.calls import counted
from .doors import Doors
from .roster import Roster, arithmetic_of, precision_of, read, roster_of
from .run import PHASES, ModelRun
from .steps import StepRecorder, may_be_judged

if TYPE_CHECKING:
    from ...records import Array

Initial = Callable[[Mapping[str, "Array"]], None]


@dataclass
class Training:
    """The steps of all models and optimizers of a block: the first of each are recorded. unchanged:
    see `ModelRun`. recorded: whether any was begun, by what may be gone."""

    request: Request
    doors: Doors
    unchanged: Unchanged = field(default=lambda name, digest: None)
    reads: Reads = field(default_factory=Reads)
    recorded: bool = False
    _of: weakref.WeakKeyDictionary[Any, StepRecorder] = field(
        default_factory=weakref.WeakKeyDictionary
    )

    _counts: dict[str, int] = field(default_factory=dict)
    _exercises: weakref.WeakKeyDictionary[Any, Exercise | None] = field(
        default_factory=weakref.WeakKeyDictionary
    )

    def __post_init__(self) -> None:
        self.selection = TrainingSelection(self.request.select)

    @property
    def asks(self) -> bool:
        return self.selection.asks

    def recorder(
        self, whose: Any, phase: str, roster: Roster, optimizers: Callable[[], Mapping[str, Any]]
    ) -> StepRecorder:
        """whose: an optimizer, with which the steps begin anew, or the model that is evaluated.
        optimizers: gives all that are at work in the steps, by name."""
        known = self._of.get(whose)
        self.recorded = True
        if known is None:
            most = self.request.steps
            size = size_for(len(roster.weights), most)
            known = StepRecorder(self.reads, self.selection, most, phase, size)
            if not phase:
                self._exercise(known, optimizers())
            self._of[whose] = known
        return known

    def recorder_of(self, model: Any, path: str, step: str) -> tuple[Roster, StepRecorder]:
        """Of a step of a built model, and the names of what it writes."""
        roster = roster_of(model, path, self.request.aliases)
        return roster, self._recorder(model, PHASES[step], roster)

    def _recorder(self, model: Any, phase: str, roster: Roster) -> StepRecorder:
        whose = model if phase or model.optimizer is None else model.optimizer
        return self.recorder(whose, phase, roster, partial(optimizers_of, model))

    def _exercise(self, recorder: StepRecorder, optimizers: Mapping[str, Any]) -> None:
        for name, optimizer in optimizers.items():
            self._see(optimizer)
            exercise = self._exercises.get(optimizer)
            if exercise is not None:
                recorder.exercises[name] = exercise
        if recorder.exercises:
            recorder.again = counted("", self._counts)

    def _see(self, optimizer: Any) -> None:
        """As it is before its first step: inside of one, jax lets variables hold nothing."""
        if optimizer not in self._exercises:
            exercise = Exercise.of(optimizer, self.doors.listening, self.request.asked)
            self._exercises[optimizer] = exercise

    def known(self, optimizer: Any) -> StepRecorder | None:
        return None if optimizer is None else self._of.get(optimizer)

    @contextmanager
    def around(self, model: Any, path: str, initial: Initial, twice: bool) -> Iterator[ModelRun]:
        """Watch the steps of a method of `model` inside. twice: they are the test's own run."""
        run = ModelRun(
            model,
            path,
            self.request.aliases,
            self.reads,
            partial(self._recorder, model),
            initial,
            live=_shows_its_inside(model),
            twice=twice,
            asked=self.request.asked,
            recorded=self.request.recorded,
            unchanged=self.unchanged,
        )
        self.doors.open()
        for optimizer in optimizers_of(model).values():
            self._see(optimizer)
        with run.around(), self.doors.listening(run if run.live else None):
            yield run

    def records(self) -> Iterator[TensorRecord]:
        """Of the steps that ran since the last time."""
        self.reads.settle()
        with self.doors.listening(None):
            for recorder in list(self._of.values()):
                yield from recorder.records()

    def programs(self) -> list[Identified]:
        """Of the steps whose records were given since the last time."""
        found = []
        for recorder in list(self._of.values()):
            found += recorder.programs
            recorder.programs = []
        return found

    def alone(self, model: Any, records: Sequence[TensorRecord]) -> Iterator[TensorRecord]:
        """What the losses and metrics of a model make of what they were given in these steps.
        records: under the names that they have in the block."""
        for recorder in self._recorders(model):
            yield from recorder.alone(records, self.request.prefix)

    def _recorders(self, model: Any) -> list[StepRecorder]:
        both = (model, getattr(model, "optimizer", None))
        return [self._of[whose] for whose in both if whose is not None and whose in self._of]

    def replayed(self, model: Any) -> dict[str, Any]:
        """Losses and metrics of a model's steps that can be run again by themselves, by name."""
        every = (recorder.replayed.items() for recorder in self._recorders(model))
        return {name: of for items in every for name, of in items}

    def ends(self, run: ModelRun, returned: Any) -> Iterator[TensorRecord]:
        """The curve of a `fit`, and the weights that it left where its steps do not tell them."""
        arithmetic = arithmetic_of(run.model)
        history = getattr(returned, "history", None)
        for name, values in history.items() if isinstance(history, dict) else ():
            full, group = f"curve/{name}", "loss" if str(name).endswith("loss") else "metrics"
            if self.selection.wants(full, group) and (curve := _curve(values)) is not None:
                yield TensorRecord(full, curve, precision=arithmetic)
        # Methods for one batch are a loop by hand.
        if run.started.get("train", 0) and (returned is None or history is not None):
            yield from self._weights_of(run, arithmetic)

    def _weights_of(self, run: ModelRun, arithmetic: str) -> Iterator[TensorRecord]:
        """Not where they are what the last recorded step left. An average of weights takes their
        place when all steps are done, and callbacks may write them."""
        roster = roster_of(run.model, run.path, self.request.aliases)
        ended = read(roster.weights, {})
        if run.started["train"] > self.request.steps or not _same(run.left, ended):
            known = self._of.get(run.model.optimizer)
            left = {
                name: (array, precision_of(roster.weights[name], arithmetic))
                for name, array in ended.items()
            }
            yield from self._weights(left, known.cancelled if known is not None else {})

    def left(self, known: StepRecorder) -> Iterator[TensorRecord]:
        """Weights that a loop by hand has made in more steps than are recorded."""
        if known.done > self.request.steps:
            yield from self._weights(known.left, known.cancelled)

    def _weights(
        self, left: Mapping[str, tuple[Array, str]], cancelled: Mapping[str, float]
    ) -> Iterator[TensorRecord]:
        size = size_for(len(left), self.request.steps)
        for name, (array, precision) in left.items():
            if self.selection.wants(f"weights/{name}", "updates"):
                slack = 2.0 * cancelled.get(name, 0.0)
                yield TensorRecord(
                    f"weights/{name}",
                    sketched(array, size),
                    precision=precision,
                    slack=float(f"{slack:.1e}"),
                    judged=may_be_judged(array, precision, slack),
                )

    def close(self) -> None:
        self.reads.close()


def _shows_its_inside(model: Any) -> bool:
    """Whether what a step computes may be asked for without changing how it is compiled."""
    if active() == "torch":
        return not getattr(model, "jit_compile", False)
    several = int(getattr(model, "steps_per_execution", 1) or 1) > 1
    return not (active() == "tensorflow" and several)


def _same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


def _curve(values: Sequence[Any]) -> Array | None:
    """What was said of each epoch: a number, or several, as metrics by class. A tensor where Keras
    could not make it one."""
    numbers = [to_numpy(v) if is_tensor(v) else v for v in values]
    if not numbers or not all(isinstance(v, (int, float, np.ndarray)) for v in numbers):
        return None
    shapes = {np.shape(number) for number in numbers}
    return np.asarray(numbers, np.float32) if len(shapes) == 1 else None
