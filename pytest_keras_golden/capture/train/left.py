"""What a step of a model has left when it has ended: weights, slots, statistics, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backends import active, is_tensor, to_numpy
from ..backends.nest import flatten
from ..state.slots import innermost
from .roster import Roster, Values, arithmetic_of, precision_of, read
from .steps import StepRecorder

if TYPE_CHECKING:
    from ...records import Array


@dataclass(frozen=True)
class Left:
    """Read on the host. values: of variables that hold nothing now."""

    model: Any
    roster: Roster
    values: Values

    @property
    def arithmetic(self) -> str:
        return arithmetic_of(self.model)

    def take_metrics(self, recorder: StepRecorder, logs: Any) -> None:
        """What the step said, what metrics keep of it, and how generators were advanced."""
        arithmetic = self.arithmetic
        for name, value in _numbers(logs):
            recorder.keep("metrics", name, value, arithmetic)
        for name, array in read(self.roster.metrics, self.values).items():
            recorder.keep("metrics", name, array, arithmetic)
        for name, array in read(self.roster.seeds, self.values).items():
            recorder.keep("random", name, array)

    def take_updates(
        self, recorder: StepRecorder, before: Mapping[str, Array]
    ) -> Mapping[str, Array]:
        """What it made of slots and weights; these as they are now."""
        arithmetic, slots = self.arithmetic, read(self.roster.slots, self.values)
        for name, array in slots.items():
            recorder.keep("slots", name, array, of_slot(array, arithmetic))
        if not updates(self.model.optimizer, slots):
            recorder.drop("applied", "learning_rate")
        after = read(self.roster.weights, self.values)
        for name, array in after.items():
            if name in before and before[name].shape == array.shape:
                precision = precision_of(self.roster.weights[name], arithmetic)
                recorder.keep_update(name, before[name], array, precision)
        return after


def of_slot(array: Array, arithmetic: str) -> str:
    """The precision of a slot; counters have none but their own."""
    return "" if array.dtype.kind in "biu" else arithmetic


def values_of(model: Any, phase: str, args: tuple[Any, ...]) -> Values:
    """Of variables, from the state that jax hands from step to step."""
    if active() != "jax" or not args or not isinstance(args[0], (tuple, list)):
        return {}
    held = [model.trainable_variables, model.non_trainable_variables]
    if phase == "train":
        held.append(model.optimizer.variables if model.optimizer is not None else [])
    held.append(model.metrics_variables)
    parts = list(args[0])
    if len(parts) != len(held):
        return {}
    return {
        id(variable): value
        for variables, part in zip(held, parts, strict=True)
        for variable, value in zip(variables, part, strict=False)
        if value is not None
    }


def changes_gradients(optimizer: Any) -> bool:
    """Whether what an optimizer applies is something else than the gradients it is given."""
    inner = innermost(optimizer)
    accumulates = getattr(inner, "gradient_accumulation_steps", None)
    return inner is not optimizer or bool(accumulates) or clips(inner)


def clips(optimizer: Any) -> bool:
    options = ("clipnorm", "clipvalue", "global_clipnorm")
    return any(getattr(optimizer, name, None) for name in options)


def updates(optimizer: Any, slots: Mapping[str, Array]) -> bool:
    """Whether a step changed weights. While gradients are accumulated, jax works an update out and
    throws it away; other backends do not."""
    steps = getattr(innermost(optimizer), "gradient_accumulation_steps", None)
    done = slots.get("iterations")
    return not steps or done is None or int(done) % int(steps) == 0


def plain_place(place: str) -> str:
    """`[0][tokens]` as part of a name: `0/tokens`."""
    return place.strip("[]").replace("][", "/")


def _numbers(logs: Any) -> Iterator[tuple[str, Array]]:
    for place, leaf in flatten(logs):
        if is_tensor(leaf) or isinstance(leaf, (int, float)):
            yield plain_place(place) or "loss", to_numpy(leaf)
