"""An optimizer by itself: made anew from its configuration, it trains weights of its own.

Its steps are a matter of its configuration alone, so that no gradient of the model has a part in
what it makes of them, and nothing of the model need be kept: gradients and weights are drawn, of
many sizes, since each option tells at another one (an epsilon where gradients are small, clipping
where they are large). In float64: a weight's own rounding would be as large as what steps of a
small learning rate differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import active, from_numpy, is_concrete, to_numpy
from ..state.seeds import tensorflow_left_out
from ..state.slots import innermost, slots_of
from ..tap.precision import is_numeric
from ..watch.structure import is_own
from ..watch.unnoticed import unnoticed
from .lifted import double

if TYPE_CHECKING:
    from ...records import Array

ROUNDS, MOST_STEPS = 3, 48
"""Updates that are made, of as many steps as it accumulates gradients over, within a limit."""

_SHAPES = {"kernel": (6, 4), "bias": (4,)}
_SEED = 0x6F707469

Hearing = Callable[["Updates"], "AbstractContextManager[None]"]
"""A context inside of which an optimizer's updates are told of."""


@dataclass
class Updates:
    """Gradients as they were applied, of the last one. Implements `train.doors.StepListener`."""

    grads: Sequence[Any] = ()

    def applied(self, grads: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
        self.grads = list(grads)

    def gradients(self, *_: Any) -> None:
        """They are those that were drawn."""

    def stepped(self, *_: Any) -> None:
        """What it left is read at the end."""

    def loss(self, *_: Any) -> None:
        """There is none."""

    def metric(self, *_: Any) -> None:
        """There is none."""

    def added(self, *_: Any) -> None:
        """There is none."""

    def regularized(self, *_: Any) -> None:
        """There is none."""


@dataclass(frozen=True)
class Exercise:
    """kind, config: of the optimizer as it was before its first step."""

    kind: type
    config: Mapping[str, Any]
    hearing: Hearing

    @classmethod
    def of(cls, optimizer: Any, hearing: Hearing, asked: bool) -> Exercise | None:
        """None of one that cannot be made anew, as those of torch. asked: the test names what it
        trains; of others only code of Keras is run again."""
        import keras

        if not isinstance(optimizer, keras.optimizers.Optimizer):
            return None
        rate = getattr(innermost(optimizer), "_learning_rate", None)
        is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        if not (asked or (is_own(optimizer) and (is_own(rate) or not is_schedule))):
            return None
        try:
            with unnoticed(optimizer), tensorflow_left_out():
                return cls(type(optimizer), optimizer.get_config(), hearing)
        except Exception:  # whatever a configuration of the user's own raises
            return None

    def run(self) -> Mapping[str, Array]:
        """`applied/kernel`, `learning_rate`, `slots/kernel/momentum`, `updates/kernel` and so on,
        behind all of its steps; empty where it fails by itself."""
        try:
            with unnoticed(self.kind), double(), tensorflow_left_out():
                return self._trained(self.kind.from_config(dict(self.config)))  # type: ignore[attr-defined]
        except Exception:  # the optimizer at work in the test is judged anyway
            return {}

    def _trained(self, optimizer: Any) -> dict[str, Array]:
        import keras

        drawn = np.random.Philox(key=_SEED)
        weights = {
            name: keras.Variable(_of_many_sizes(drawn, shape), dtype="float64", name=name)
            for name, shape in _SHAPES.items()
        }
        before = {name: to_numpy(weight) for name, weight in weights.items()}
        like = next(iter(weights.values()))
        heard, rates = Updates(), []
        optimizer.build(list(weights.values()))
        with self.hearing(heard):
            for _ in range(_steps(optimizer)):
                # How often an update asks for it is a matter of the backend and the release.
                rates.append(to_numpy(innermost(optimizer).learning_rate))
                grads = [from_numpy(_of_many_sizes(drawn, s), like) for s in _SHAPES.values()]
                _step(optimizer, grads, list(weights.values()))
        return {"learning_rate": np.stack(rates), **dict(_left(optimizer, heard, weights, before))}


def _step(optimizer: Any, grads: list[Any], weights: list[Any]) -> None:
    if active() != "jax":
        optimizer.apply(grads, weights)
        return
    # As training does it there: a loss scale cannot be applied otherwise.
    slots, values = ([v.value for v in held] for held in (optimizer.variables, weights))
    made = optimizer.stateless_apply(slots, grads, values)
    for held, left in zip((weights, optimizer.variables), made, strict=True):
        for variable, value in zip(held, left, strict=True):
            variable.assign(value)


def _steps(optimizer: Any) -> int:
    accumulated = getattr(innermost(optimizer), "gradient_accumulation_steps", None) or 1
    return min(ROUNDS * int(accumulated), MOST_STEPS)


def _left(
    optimizer: Any, heard: Updates, weights: Mapping[str, Any], before: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    for name, grad in zip(weights, heard.grads, strict=False):
        if _is_known(grad):
            yield f"applied/{name}", to_numpy(grad)
    for name, slot in slots_of(optimizer, weights):
        yield f"slots/{name}", to_numpy(slot)
    for name, weight in weights.items():
        yield f"updates/{name}", np.subtract(to_numpy(weight), before[name])


def _is_known(value: Any) -> bool:
    """Not inside of a branch, as a loss scale has them."""
    return is_numeric(value) and is_concrete(value)


def _of_many_sizes(drawn: np.random.Philox, shape: tuple[int, ...]) -> Array:
    """Odd sixteenths between -1 and 1 times powers of ten down to 1e-5."""
    words = drawn.random_raw(int(np.prod(shape)))
    sixteenths = 2 * (words % np.uint64(16)).astype(np.float64) - 15
    size = 10.0 ** -(words // np.uint64(16) % np.uint64(6)).astype(np.float64)
    made: Array = (sixteenths / 16 * size).reshape(shape)
    return made
