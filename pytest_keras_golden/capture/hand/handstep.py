"""One step of a loop by hand, and what takes in what a program hands over of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..tap.precision import is_numeric
from ..train.left import of_slot, updates
from ..train.roster import Roster, Trainee, Values, precision_of
from ..train.run import dense, tensor_of
from ..train.steps import StepRecorder
from ..train.training import Initial
from ..watch.calls import counted
from .loose import Loss

if TYPE_CHECKING:
    from ...records import Array
    from ..record.reads import Reads


@dataclass
class HandStep:
    """One that is under way."""

    of: Trainee
    recorder: StepRecorder
    roster: Roster
    traced: bool
    losses: Sequence[Loss]
    before: Mapping[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def precision_of(self, variable: Any) -> str:
        return precision_of(variable, self.of.arithmetic)

    def weights(self, values: Values) -> dict[str, Any]:
        """What its variables hold, or what stands for that."""
        every = self.roster.weights.items()
        return {name: values.get(id(variable), variable) for name, variable in every}

    def read_each(self, part: str, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Gradients of variables; of one that has several in a step they are counted."""
        for variable, grad in pairs:
            if grad is not None:
                name = self._counted(part, self.roster.name_of(variable))
                self.recorder.read(part, name, dense(grad), self.precision_of(variable))

    def read_rate(self, rate: Any) -> None:
        rate = tensor_of(rate)
        if is_numeric(rate):
            self.recorder.read("learning_rate", "", rate)

    def keep_loss(self, loss: Loss) -> None:
        array = loss.fetch()
        if array is not None:
            name = self._counted("loss", loss.name)
            self.recorder.keep("loss", name, array, self.of.arithmetic)

    def keep_slot(self, name: str, array: Array) -> None:
        self.recorder.keep("slots", name, array, of_slot(array, self.of.arithmetic))

    def keep_update(self, name: str, before: Array | None, after: Array) -> None:
        """What it made of a weight, which may be the last that is made of it."""
        precision = self.precision_of(self.roster.weights[name])
        self.recorder.left[name] = after, precision
        if before is not None and before.shape == after.shape:
            self.recorder.keep_update(name, before, after, precision)

    def _counted(self, part: str, name: str) -> str:
        return counted(f"{part}/{name}", self.counts).partition("/")[2]

    # -- in a program -----------------------------------------------------------------------

    def hands_over(self, values: Values, reads: Reads, initial: Initial) -> None:
        """Have the program that is being traced do so each time that it runs. It does so in order:
        the step has ended for what comes after its end. values: of variables, after the step.
        initial: told what its weights were before."""
        for loss in self.losses:
            name = self._counted("loss", loss.name)
            loss.receive = self.recorder.receiver("loss", name, self.of.arithmetic)
        after = self.weights(values)
        before: dict[str, Array] = {}
        for name, tensor in self.before.items():
            reads.read(tensor, partial(before.__setitem__, name))
        reads.read(next(iter(after.values())), lambda _: self._ended(initial, before))
        for name, slot in self.roster.slots.items():
            reads.read(values.get(id(slot), slot), partial(self._handed_slot, name))
        for name, tensor in after.items():
            reads.read(tensor, partial(self._handed_update, name, before))

    def _ended(self, initial: Initial, before: Mapping[str, Array]) -> None:
        initial(before)
        self.recorder.advance()

    def _handed_slot(self, name: str, array: Array) -> None:
        self.keep_slot(name, array)
        if name == "iterations" and not updates(self.of.optimizer, {name: array}):
            self.recorder.drop("applied", "learning_rate")

    def _handed_update(self, name: str, before: Mapping[str, Array], array: Array) -> None:
        self.keep_update(name, before.get(name), array)
