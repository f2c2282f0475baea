"""What stands in the place of a model's own functions while its steps are watched.

What jax compiles it may fuse otherwise where something is handed over from inside: gradients of a
convolution before a clipping norm came out one bit apart. So the steps that are recorded run twice
there: for the test as they are, and from a copy of their state once more, watched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...store.digest import digest
from ..backends import copied, given_back, is_tensor, view
from ..backends.nest import exchanged, flatten
from ..record.identity import Taken


@dataclass
class SecondRun:
    """What the second run of a step begins with: its state as it was, and its data again, or the
    batches that the first run took of it."""

    state: Any
    data: Any
    taken: Taken | None = None

    @staticmethod
    def of(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], SecondRun]:
        """What the first run is given, and what to give the second one."""
        state, data = args
        # The first run donates what it is given.
        copies = exchanged(state, lambda leaf: copied(leaf) if is_tensor(leaf) else leaf)
        taken = Taken.of(data)
        return (state, taken or data), SecondRun(copies, data, taken)

    @property
    def batch(self) -> Any | None:
        """The data of its one step; None of several, or none."""
        if self.taken is None:
            return self.data
        return self.taken.taken[0] if len(self.taken.taken) == 1 else None

    def args(self) -> tuple[Any, ...]:
        state = exchanged(self.state, lambda leaf: given_back(leaf) if is_tensor(leaf) else leaf)
        return state, self.data if self.taken is None else iter(self.taken.taken)


def are_same(one: Any, other: Any) -> bool:
    """Whether two runs of a step returned the same, bit for bit."""
    left, right = dict(flatten(one)), dict(flatten(other))
    return left.keys() == right.keys() and all(
        digest(view(leaf)) == digest(view(right[place]))
        for place, leaf in left.items()
        if is_tensor(leaf)
    )


def are_alike(one: Any, other: Any) -> bool:
    """Whether what two runs of a step said may differ by rounding."""
    left, right = dict(flatten(one)), dict(flatten(other))
    return left.keys() == right.keys() and all(
        np.allclose(_wide(value), _wide(right[place]), rtol=_ALIKE)
        for place, value in left.items()
        if is_tensor(value)
    )


def _wide(value: Any) -> Any:
    return view(value).astype(np.float64)


_ALIKE = 0.05
"""Far beyond rounding, and far less than another loss, scale or set of weights makes of it."""


def before_each(original: Any, begin: Callable[[Any], None]) -> Any:
    # A function of its own: jax finds what it compiled for an equal one.
    def step(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        begin([*args, *kwargs.values()][-1])
        return original(*args, **kwargs)

    return step


def telling(original: Any, told: Callable[[Any], None]) -> Any:
    def compute_loss(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        value = original(*args, **kwargs)
        told(value)
        return value

    return compute_loss
