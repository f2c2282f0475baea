"""An outermost call as it was made, for running it again after the test has gone on.

A test that nobody marked may train its model, and attention takes the masks off its inputs: both
are put back before a call is repeated.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .backends import from_numpy, to_numpy
from .calls import write_count
from .masks import Masks, put_masks
from .state import held

if TYPE_CHECKING:
    from ..records import Array

Weights = list[tuple[Any, Any]]
"""Variables with the values that they held."""


class Outermost(NamedTuple):
    """Method name, layer and arguments of one outermost call; the masks that these carried, and
    the weights that it ran with, where these may change before it is made again."""

    method: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    masks: Masks
    weights: Weights

    def again(self) -> Any:
        __tracebackhide__ = True
        put_masks(self.masks)
        for variable, value in self.weights:
            variable.assign(from_numpy(value, variable.value))
        return getattr(self.target, self.method)(*self.args, **self.kwargs)


@contextmanager
def weights_kept(calls: Iterable[Outermost]) -> Iterator[None]:
    """Calls may be made again inside: their weights are as they are now when it is left."""
    now = [(variable, held(variable)) for call in calls for variable, _ in call.weights]
    try:
        yield
    finally:
        for variable, value in now:
            variable.assign(value)


class Copies:
    """Own copies of weights on the host, one for each time that they were written."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], int, Array]] = {}

    def of(self, target: Any, but: Iterable[Any]) -> Weights:
        """Every variable of a layer but for some. A training step may take jax's arrays away."""
        skipped = {id(variable) for variable in but}
        variables = getattr(target, "variables", ())
        return [(item, self._copy(item.value)) for item in variables if id(item) not in skipped]

    def _copy(self, value: Any) -> Array:
        reference, version, array = self._known.get(id(value), (None, 0, None))
        count = write_count(value)
        same = reference is not None and reference() is value and version == count
        if array is not None and same:
            return array
        array = to_numpy(value)
        if count is not None:
            self._known[id(value)] = weakref.ref(value), count, array
        return array
