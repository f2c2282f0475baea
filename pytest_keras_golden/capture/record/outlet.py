"""How values leave a step that jax compiles: as outputs beside the step's own.

A callback to the host hands over what lies in a loop or a branch. Of anything else it is the
dearer way: a program with callbacks takes twice as long to compile, and jax' compilation cache
never keeps one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..backends import active, is_tensor, returnable, to_numpy
from ..backends.nest import flatten
from ..state.models import instance_attribute
from .reads import Reads, Receive

_KEY = "golden tensors of trace "
"""Of the logs of a step, with the number of the trace."""

_OUTPUTS = "outputs"
"""What a step of `predict` returned, beside those."""

Beside = tuple[Any, Receive]
"""A value that left a step, and who receives it."""


@dataclass
class Outlet:
    """What one trace of a step is to return beside its logs. Implements `record.reads.WayOut`.

    anchor: a value of the trace; None where nothing is being traced.
    """

    anchor: Any
    values: list[Any] = field(default_factory=list)
    receivers: list[Receive] = field(default_factory=list)

    def takes(self, value: Any, receive: Receive) -> bool:
        returned = None if self.anchor is None else returnable(value, self.anchor)
        if returned is None:
            return False
        self.values.append(returned)
        self.receivers.append(receive)
        return True


@dataclass
class Outlets:
    """Of all traces of one function of a step, which returns logs and a state; where it `predicts`,
    outputs of any form and a state."""

    reads: Reads
    predicts: bool = False
    _traces: list[Sequence[Receive]] = field(default_factory=list)

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step, which while it is traced is made to return what is read of it as well."""

        def leaving(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            outlet = Outlet(_any_tensor(args, kwargs))
            with self.reads.leaving_by(outlet):
                returned = step(*args, **kwargs)
            return self._beside(returned, outlet)

        return leaving

    def _beside(self, returned: Any, outlet: Outlet) -> Any:
        if not outlet.values:
            return returned
        if not (self._is_output(returned) if self.predicts else _has_logs(returned)):
            for value, receive in zip(outlet.values, outlet.receivers, strict=True):
                self.reads.call_back(value, receive)
            return returned
        self._traces.append(outlet.receivers)
        key = f"{_KEY}{len(self._traces) - 1}"
        logs, state = returned
        logs = {_OUTPUTS: logs} if self.predicts else logs
        return {**logs, key: outlet.values}, state

    def apart(self, returned: Any) -> tuple[Any, Sequence[Beside]]:
        """What the step itself returned, and what left it beside that."""
        if not _has_logs(returned):
            return returned, ()
        logs, state = returned
        if self.predicts and not any(key.startswith(_KEY) for key in logs):
            return returned, ()
        own = {key: value for key, value in logs.items() if not key.startswith(_KEY)}
        beside: list[Beside] = []
        for key in logs.keys() - own.keys():
            receivers = self._traces[int(key.removeprefix(_KEY))]
            beside += zip(logs[key], receivers, strict=True)
        return (own[_OUTPUTS] if self.predicts else own, state), beside

    @staticmethod
    def _is_output(returned: Any) -> bool:
        return isinstance(returned, tuple) and len(returned) == 2

    @contextmanager
    def standing(self, model: Any, step: str) -> Iterator[None]:
        """Inside, what is read of a step of the model's leaves it so, and is received at once."""
        name, make = f"make_{step}_function", getattr(model, f"make_{step}_function")

        def received(function: Callable[..., Any]) -> Callable[..., Any]:
            def function_of_step(*args: Any) -> Any:
                __tracebackhide__ = True
                returned, beside = self.apart(function(*args))
                for value, receive in beside:
                    receive(to_numpy(value))
                return returned

            return function_of_step

        def made(*args: Any, **kwargs: Any) -> Any:
            before = getattr(model, f"{step}_function")
            returned = make(*args, **kwargs)
            function = getattr(model, f"{step}_function")
            if function is not before:
                setattr(model, f"{step}_function", received(function))
            return returned

        leaving = self.around(getattr(model, f"{step}_step"))
        with (
            instance_attribute(model, f"{step}_step", leaving),
            instance_attribute(model, name, made),
        ):
            yield


def returns_each_step(model: Any, step: str) -> bool:
    """Whether what a step returns comes out of its function, seen by Keras alone: of several in one
    execution the last's does, and a function that users make may look at logs, or drop some."""
    several = int(getattr(model, "steps_per_execution", 1) or 1) > 1
    return active() == "jax" and not several and is_made_by_keras(model, step)


def is_made_by_keras(model: Any, step: str) -> bool:
    """Whether what runs a model's steps is Keras' own, and no function that its users make."""
    makers = (f"make_{step}_function", "_make_function")
    return all(_is_of_keras(model, name) for name in makers)


def _is_of_keras(model: Any, name: str) -> bool:
    owner = next((kind for kind in type(model).__mro__ if name in vars(kind)), None)
    return name not in vars(model) and (owner is None or owner.__module__.startswith("keras."))


def _any_tensor(args: Any, kwargs: Any) -> Any:
    return next((leaf for _, leaf in flatten((args, kwargs)) if is_tensor(leaf)), None)


def _has_logs(returned: Any) -> bool:
    """Whether a step returned logs by name and a state, as those of Keras do."""
    is_pair = isinstance(returned, tuple) and len(returned) == 2
    return is_pair and type(returned[0]) is dict and all(isinstance(k, str) for k in returned[0])
