"""What stands in the place of a model's own functions while its steps are watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Runs(Protocol):
    """Who runs a step's function for `fit` and the like."""

    def execute(self, step: str, function: Any, args: tuple[Any, ...]) -> Any: ...


@dataclass
class Watched:
    """A step's function, as `fit` and the like call it."""

    function: Any
    run: Runs
    step: str

    def __call__(self, *args: Any) -> Any:
        __tracebackhide__ = True
        return self.run.execute(self.step, self.function, args)


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
