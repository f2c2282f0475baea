"""Steps of loops that a test writes by hand: whenever an optimizer is at work outside of a model's
own methods, one of Keras or, on torch, one of torch's own.

What runs eagerly is read before and after each step. A step that jax compiles hands everything over
from inside, in order; other programs cannot be read, and are told as not looked at.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...records import TensorRecord
from ...store.digest import digest
from ..backends import is_concrete, is_traced, keeps_order, primal
from ..tap.precision import is_numeric
from ..watch.calls import counted
from .blame import Components, components_of
from .loose import Loss, Losses
from .roster import Home, Roster, Trainee, Values, precision_of, read
from .run import changes_gradients, dense, tensor_of, updates
from .steps import StepRecorder

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

    def home_of(self, variables: Sequence[Any]) -> Home | None:
        """None for what the test does not ask about."""

    def held_as(self, tensors: Mapping[int, Any]) -> list[Any]:
        """Keras variables that hold these tensors, by their ids."""

    def step_begins(self, home: Home, given: Mapping[str, str]) -> None: ...
    def step_ended(
        self, records: Sequence[TensorRecord], left: str, of: Trainee, recorder: StepRecorder
    ) -> None: ...


@dataclass
class _Step:
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


@dataclass
class ByHand:
    """Implements `doors.StepListener`. missed: what ran and could not be looked into, by kind.
    failure: the first thing that could not be read. traced: homes of the steps in programs."""

    host: Host
    missed: Counter[str] = field(default_factory=Counter)
    failure: Exception | None = None
    traced: dict[int, tuple[StepRecorder, str, Components]] = field(default_factory=dict)
    losses: Losses = field(init=False)
    thread: int = field(default_factory=threading.get_ident)
    _step: _Step | None = None

    def __post_init__(self) -> None:
        self.losses = Losses(self.host.reads)

    # -- what is told -----------------------------------------------------------------------

    def loss(self, name: str, value: Any, given: Sequence[Any]) -> None:
        with self._safely():
            self.losses.take(name, value, given)

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
                self._each(step, "applied", zip(variables, grads, strict=False))
            self._rate(step, getattr(rate, "value", rate))

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
            self._rate(step, optimizer.param_groups[0]["lr"])

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

    @contextmanager
    def _safely(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error

    def _begins(
        self,
        optimizer: Any,
        variables: Sequence[Any],
        pairs: Sequence[tuple[Any, Any]],
        values: Values,
    ) -> _Step | None:
        self.host.opens()
        home = self.host.home_of(variables) if pairs else None
        if home is None:
            return None
        traced = not all(is_concrete(primal(grad)) for _, grad in pairs)
        if traced and not (keeps_order() and all(is_traced(grad) for _, grad in pairs)):
            self.missed["optimizers"] += 1
            return None
        of = Trainee(optimizer, home, variables)
        roster = of.roster(self.host.aliases)
        recorder = self.host.recorder(optimizer, roster)
        losses = self.losses.hand_over()
        step = _Step(of, recorder, roster, traced, losses)
        if not traced:
            self.host.step_begins(home, {loss.name: loss.given for loss in losses if loss.given})
        if traced or recorder.open:
            step.before = step.weights(values) if traced else read(roster.weights, values)
            self._each(step, "gradients", pairs)
        return step

    def _each(self, step: _Step, part: str, pairs: Any) -> None:
        for variable, grad in pairs:
            if grad is not None:
                name = counted(f"{part}/{step.roster.name_of(variable)}", step.counts)
                precision = step.precision_of(variable)
                step.recorder.read(part, name.partition("/")[2], dense(grad), precision)

    def _rate(self, step: _Step, rate: Any) -> None:
        rate = tensor_of(rate)
        if is_numeric(rate):
            step.recorder.read("learning_rate", "", rate)

    def _stepped(self, values: Values, slots: Slots) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        with self._safely():
            # Optimizers make their slots in the first step at the latest.
            step.roster = step.of.roster(self.host.aliases)
            if step.traced:
                self._trace(step, values)
            else:
                self._end(step, values, slots(step.roster))

    def _end(self, step: _Step, values: Values, slots: Mapping[str, Any]) -> None:
        recorder = step.recorder
        self.host.reads.settle()
        was_open = recorder.open
        recorder.advance()
        after = read(step.roster.weights, values)
        if was_open:
            for loss in step.losses:
                self._keep_loss(step, loss)
            arrays = read(slots, values)
            for name, array in arrays.items():
                recorder.keep("slots", name, array, _of_slot(array, step.of.arithmetic))
            if not updates(step.of.optimizer, arrays):
                recorder.drop("applied", "learning_rate")
            for name, array in after.items():
                _keep_update(step, name, step.before.get(name), array)
        for name, array in after.items():
            _leave(step, name, array)
        left = digest(_together(after))
        self.host.step_ended(list(recorder.records()), left, step.of, recorder)

    def _keep_loss(self, step: _Step, loss: Loss) -> None:
        array = loss.fetch()
        if array is not None:
            name = counted(f"loss/{loss.name}", step.counts).partition("/")[2]
            step.recorder.keep("loss", name, array, step.of.arithmetic)

    # -- a step in a program ----------------------------------------------------------------

    def _trace(self, step: _Step, values: Values) -> None:
        """What the program hands over each time that it runs. It does so in order, so that the
        step has ended for what comes after its end."""
        recorder, reads = step.recorder, self.host.reads
        made_of = components_of(step.of.home.model, step.of.optimizer)
        self.traced[id(recorder)] = recorder, step.of.home.path, made_of
        for loss in step.losses:
            name = counted(f"loss/{loss.name}", step.counts).partition("/")[2]
            loss.receive = recorder.receiver("loss", name, step.of.arithmetic)
        after = step.weights(values)
        before: dict[str, Array] = {}
        for name, tensor in step.before.items():
            reads.read(tensor, _into(before, name))
        first = next(iter(after.values()))
        reads.read(first, _ending(recorder))
        slots = {name: values.get(id(slot), slot) for name, slot in step.roster.slots.items()}
        for name, tensor in slots.items():
            reads.read(tensor, _slot_of(step, name))
        for name, tensor in after.items():
            reads.read(tensor, _update_of(step, name, before))


def _into(arrays: dict[str, Array], name: str) -> Callable[[Array], None]:
    def receive(array: Array) -> None:
        arrays[name] = array

    return receive


def _ending(recorder: StepRecorder) -> Callable[[Array], None]:
    def receive(_: Array) -> None:
        recorder.advance()

    return receive


def _slot_of(step: _Step, name: str) -> Callable[[Array], None]:
    def receive(array: Array) -> None:
        step.recorder.keep("slots", name, array, _of_slot(array, step.of.arithmetic))
        if name == "iterations" and not updates(step.of.optimizer, {name: array}):
            step.recorder.drop("applied", "learning_rate")

    return receive


def _update_of(step: _Step, name: str, before: Mapping[str, Array]) -> Callable[[Array], None]:
    def receive(array: Array) -> None:
        _keep_update(step, name, before.get(name), array)
        _leave(step, name, array)

    return receive


def _keep_update(step: _Step, name: str, before: Array | None, after: Array) -> None:
    if before is not None and before.shape == after.shape:
        precision = step.precision_of(step.roster.weights[name])
        step.recorder.keep_update(name, before, after, precision)


def _leave(step: _Step, name: str, after: Array) -> None:
    precision = step.precision_of(step.roster.weights[name])
    step.recorder.left[name] = after, precision


def _of_slot(array: Array, arithmetic: str) -> str:
    return "" if array.dtype.kind in "biu" else arithmetic


def _together(arrays: Mapping[str, Array]) -> Array:
    import numpy as np

    keys = "".join(digest(array) for array in arrays.values())
    return np.frombuffer(bytes.fromhex(keys), np.uint8)
