"""Steps of loops that a test writes by hand: whenever an optimizer is at work outside of a model's
own methods, one of Keras or, on torch, one of torch's own.

What runs eagerly is read before and after each step. A step that jax compiles hands everything over
from inside, in order; other programs cannot be read, and are told as not looked at.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...records import TensorRecord
from ...store.digest import digest
from ..backends import is_concrete, is_sealed, is_traced, keeps_order, primal
from ..backends.nest import flatten
from ..tap.precision import is_numeric
from ..train.blame import Components, components_of
from ..train.doors import Onlooker
from ..train.left import changes_gradients, updates
from ..train.roster import Home, Roster, Trainee, Values, read
from ..train.run import dense
from ..train.steps import StepRecorder
from ..watch.structure import joined
from .handstep import HandStep
from .loose import Losses

if TYPE_CHECKING:
    from ...records import Array
    from ..record.reads import Reads

Pairs = Sequence["tuple[Any, Any]"]
"""Variables with their gradients."""

Slots = Callable[[Roster], Mapping[str, Any]]


class Host(Protocol):
    """Who takes the steps in, as calls of their own."""

    @property
    def aliases(self) -> Sequence[tuple[str, str]]: ...
    @property
    def reads(self) -> Reads: ...
    def opens(self) -> None:
        """An optimizer is about to step: what a backend made for it is there by now."""

    def recorder(self, optimizer: Any, roster: Roster) -> StepRecorder: ...

    def path_of_layer(self, layer: Any) -> str:
        """Empty for a model itself, and for what was not called."""

    def names_of(self, weights: Sequence[Any]) -> list[str]: ...

    def home_of(self, variables: Sequence[Any]) -> Home | None:
        """None for what the test does not ask about."""

    def held_as(self, tensors: Mapping[int, Any]) -> list[Any]:
        """Keras variables that hold these tensors, by their ids."""

    def initial(self, weights: Mapping[str, Array]) -> None:
        """What the weights were that a program trains, by name."""

    def step_begins(self, home: Home, given: Mapping[str, str]) -> None: ...
    def step_ended(self, records: Sequence[TensorRecord], left: str, step: HandStep) -> None: ...


@dataclass
class ByHand(Onlooker):
    """Implements `doors.StepListener`. missed: what ran and could not be looked into, by kind.
    traced: homes of the steps in programs."""

    host: Host
    missed: Counter[str] = field(default_factory=Counter)
    traced: dict[int, tuple[StepRecorder, str, Components]] = field(default_factory=dict)
    losses: Losses = field(init=False)
    _parts: Losses = field(init=False)
    thread: int = field(default_factory=threading.get_ident)
    _step: HandStep | None = None

    def __post_init__(self) -> None:
        self.losses = Losses(self.host.reads)
        self._parts = Losses(self.host.reads)

    # -- what is told -----------------------------------------------------------------------

    def loss(self, loss: Any, value: Any, given: Mapping[str, Any]) -> None:
        with self._safely():
            self.losses.take(str(loss.name), value, [given.get("y_true")])

    def metric(self, metric: Any, given: Mapping[str, Any]) -> None:
        """Of a loop by hand, metrics are what the test checks itself."""

    def added(self, layer: Any, loss: Any) -> None:
        with self._safely():
            name = joined("add_loss", self.host.path_of_layer(layer))
            for _, leaf in flatten(loss):
                self._parts.take(name, leaf)

    def regularized(self, weights: Sequence[Any], losses: Sequence[Any]) -> None:
        with self._safely():
            for name, value in zip(self.host.names_of(weights), losses, strict=True):
                self._parts.take(joined("regularization", name), value)

    def gradients(
        self, optimizer: Any, variables: Sequence[Any], grads: Sequence[Any], values: Values
    ) -> None:
        self._step = None
        with self._safely():
            pairs = [
                (variable, dense(grad))
                for variable, grad in zip(variables, grads, strict=False)
                if grad is not None
            ]
            self._step = self._begins(optimizer, variables, pairs, values)

    def applied(self, grads: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
        step = self._step
        if step is None:
            return
        with self._safely():
            if changes_gradients(step.of.optimizer):
                step.read_each("applied", zip(variables, grads, strict=False))
            step.read_rate(getattr(rate, "value", rate))

    def stepped(self, optimizer: Any, values: Values) -> None:
        self._stepped(values, lambda roster: roster.slots)

    # -- torch's own ------------------------------------------------------------------------

    def torch_begins(self, optimizer: Any) -> None:
        """Before an optimizer of torch steps; of parameters that are no Keras variables nothing is
        asked."""
        self._step = None
        if threading.get_ident() != self.thread:
            return
        with self._safely():
            groups = optimizer.param_groups
            held = {id(tensor): tensor for group in groups for tensor in group["params"]}
            variables = self.host.held_as(held)
            if variables:
                self._torch(optimizer, variables)

    def _torch(self, optimizer: Any, variables: Sequence[Any]) -> None:
        pairs = [(v, v.value.grad) for v in variables if v.value.grad is not None]
        self._step = step = self._begins(optimizer, variables, pairs, {})
        if step is not None:
            step.read_rate(optimizer.param_groups[0]["lr"])

    def torch_stepped(self, optimizer: Any) -> None:
        def slots(roster: Roster) -> Mapping[str, Any]:
            return {
                f"{name}/{slot}": tensor
                for name, variable in roster.weights.items()
                for slot, tensor in optimizer.state.get(variable.value, {}).items()
                if is_numeric(tensor)
            }

        if threading.get_ident() == self.thread:
            self._stepped({}, slots)

    # -- a step -----------------------------------------------------------------------------

    def _begins(
        self,
        optimizer: Any,
        variables: Sequence[Any],
        pairs: Sequence[tuple[Any, Any]],
        values: Values,
    ) -> HandStep | None:
        self.host.opens()
        home = self.host.home_of(variables) if pairs else None
        if home is None:
            return None
        traced = not all(is_concrete(primal(grad)) for _, grad in pairs)
        readable = keeps_order() and all(is_traced(grad) for _, grad in pairs)
        if traced and (not readable or is_sealed()):
            self.missed["optimizers"] += 1
            return None
        of = Trainee(optimizer, home, variables)
        roster = of.roster(self.host.aliases)
        recorder = self.host.recorder(optimizer, roster)
        losses = [*self._parts.hand_over(), *self.losses.hand_over()]
        step = HandStep(of, recorder, roster, traced, losses)
        if not traced:
            self.host.step_begins(home, {loss.name: loss.given for loss in losses if loss.given})
        if traced or recorder.open:
            step.before = step.weights(values) if traced else read(roster.weights, values)
            step.read_each("gradients", pairs)
        return step

    def _stepped(self, values: Values, slots: Slots) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        with self._safely():
            # Optimizers make their slots in the first step at the latest.
            step.roster = step.of.roster(self.host.aliases)
            if step.traced:
                self._hands_over(step, values)
            else:
                self._end(step, values, slots(step.roster))

    def _hands_over(self, step: HandStep, values: Values) -> None:
        made_of = components_of(step.of.home.model, step.roster.weights, step.of.optimizer)
        self.traced[id(step.recorder)] = step.recorder, step.of.home.path, made_of
        step.hands_over(values, self.host.reads, self.host.initial)

    def _end(self, step: HandStep, values: Values, slots: Mapping[str, Any]) -> None:
        recorder = step.recorder
        self.host.reads.settle()
        was_open = recorder.open
        recorder.advance()
        after = read(step.roster.weights, values)
        if was_open:
            for loss in step.losses:
                step.keep_loss(loss)
            arrays = read(slots, values)
            for name, array in arrays.items():
                step.keep_slot(name, array)
            if not updates(step.of.optimizer, arrays):
                recorder.drop("applied", "learning_rate")
        for name, array in after.items():
            step.keep_update(name, step.before.get(name), array)
        left = digest(_together(after))
        self.host.step_ended(list(recorder.records()), left, step)


def _together(arrays: Mapping[str, Array]) -> Array:
    import numpy as np

    keys = "".join(digest(array) for array in arrays.values())
    return np.frombuffer(bytes.fromhex(keys), np.uint8)
