"""What stands in the place of a model's own functions while its steps are watched.

What jax compiles it may fuse otherwise where something is handed over from inside: gradients of a
convolution before a clipping norm came out one bit apart. So the steps that are recorded run twice
there: for the test as they are, and from a copy of their state once more, watched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends import is_tensor, view
from ..backends.nest import flatten


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
