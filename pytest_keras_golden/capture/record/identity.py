"""What one run of a model's steps is, so that nobody has to watch the same one twice.

jax computes what is watched of a step in a second program, which has to be traced, lowered and
loaded, or compiled: most of what checking costs. Steps that are, on the golden's own stack, the
programs that they were when it was recorded, given the same bits and returning the same, made the
same of them inside as well. Their tensors are the golden's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import xxhash

from ...records import TensorRecord
from ...store.digest import digest
from ..backends import is_tensor, program_of, shapes_of, view
from ..backends.nest import flatten
from ..state.models import instance_attribute
from ..watch.unnoticed import unnoticed

Unchanged = Callable[[str, str], "Sequence[TensorRecord] | None"]
"""What the golden has of a run that need not be watched, by name and digest; else None."""


class Identified(NamedTuple):
    """A run with an identity. tensors: names of what was recorded of it."""

    name: str
    digest: str
    tensors: Sequence[str] = ()


class Execution(NamedTuple):
    """One step: the function that ran, the shapes of the state that it was given, which may be gone
    now, its batch, and what it returned beside a state."""

    function: Any
    shapes: Any
    batch: Any
    returned: Any


@dataclass
class Identity:
    """Of the steps of one model. recorded: in words, how they are."""

    model: Any
    recorded: str
    _programs: dict[tuple[int, str], tuple[Any, str]] = field(default_factory=dict)

    def of(
        self, steps: Iterable[Execution], before: str, after: Any, names: Iterable[str]
    ) -> str | None:
        """xxh3-128 over the programs and everything that went in and came out; None where that
        cannot be told.

        before: `told` of the first step's state. after: the state that the last one left. names: of
        the variables in it."""
        left = told(after)
        if not before or not left:
            return None
        parts = [self.recorded, before, left, *names]
        for step in steps:
            program, moved = self._program(step), told((step.batch, step.returned))
            if not program or not moved:
                return None
            parts += [program, moved]
        return xxhash.xxh3_128_hexdigest("\0".join(parts).encode())

    def _program(self, step: Execution) -> str:
        """Its digest, empty where it cannot be told. Of a program that ran the text is at hand, and
        takes milliseconds all the same."""
        function, shapes = _compiled(step.function), shapes_of((step.shapes, step.batch))
        key = id(function), repr(shapes)
        if key not in self._programs:
            text = ""
            with unnoticed(self.model), suppress(Exception):  # a matter of jax' own
                text = program_of(function, shapes)
            # What calls back into Python is more than its text.
            known = text != "" and "callback" not in text
            found = xxhash.xxh3_128_hexdigest(text.encode()) if known else ""
            # The function is kept: another one at its place must not pass for it.
            self._programs[key] = function, found
        return self._programs[key][1]


def _compiled(function: Any) -> Any:
    """What jax compiled: the function of a step, or what that calls with each batch, be it by way
    of another one."""
    for _ in range(3):
        cells = getattr(function, "__closure__", None) or ()
        inside = [cell.cell_contents for cell in cells]
        found = next((one for one in (function, *inside) if hasattr(one, "lower")), None)
        if found is not None:
            return found
        function = next((one for one in inside if callable(one)), None)
    return None


def told(nest: Any) -> str:
    """xxh3-128 over the digest, or else the text, of every leaf at its place; empty where one is
    unreadable, as what was donated."""
    running = xxhash.xxh3_128()
    try:
        for place, leaf in flatten(nest):
            word = digest(view(leaf)) if is_tensor(leaf) else repr(leaf)
            running.update(f"{place} {word}\0".encode())
    except Exception:  # of whatever a step was given: then it is watched
        return ""
    return running.hexdigest()


@dataclass
class Executions:
    """The steps of one call of a method of a model's, as they ran."""

    before: str = ""
    after: Any = None
    steps: list[Execution] = field(default_factory=list)

    @contextmanager
    def seen(self, model: Any, step: str) -> Iterator[None]:
        """Inside, the function that Keras makes of a step is seen as it runs."""
        name, own = f"{step}_function", f"make_{step}_function"
        make = getattr(model, own)

        def made(*args: Any, **kwargs: Any) -> Any:
            known = getattr(model, name, None)
            if isinstance(known, _Noted):
                setattr(model, name, known.function)
            returned = make(*args, **kwargs)
            setattr(model, name, _Noted(getattr(model, name), self))
            return returned

        try:
            with instance_attribute(model, own, made):
                yield
        finally:
            known = getattr(model, name, None)
            if isinstance(known, _Noted):
                setattr(model, name, known.function)


@dataclass
class _Noted:
    function: Any
    executions: Executions

    def __call__(self, state: Any, data: Any) -> Any:
        __tracebackhide__ = True
        seen = self.executions
        if not seen.steps:
            seen.before = told(state)
        shapes, taken = shapes_of(state), Taken.of(data)
        returned = self.function(state, data if taken is None else taken)
        outputs, seen.after = returned if _has_state(returned) else (returned, None)
        for batch in (data,) if taken is None else taken.taken:
            seen.steps.append(Execution(self.function, shapes, batch, outputs))
        return returned


def _has_state(returned: Any) -> bool:
    return isinstance(returned, tuple) and len(returned) == 2


@dataclass
class Taken:
    """An iterator that keeps what was taken out of it."""

    iterator: Iterator[Any]
    taken: list[Any] = field(default_factory=list)

    @staticmethod
    def of(data: Any) -> Taken | None:
        """None of a batch, which some releases give to a step as it is."""
        return Taken(data) if hasattr(data, "__next__") else None

    def __iter__(self) -> Taken:
        return self

    def __next__(self) -> Any:
        item = next(self.iterator)
        self.taken.append(item)
        return item
