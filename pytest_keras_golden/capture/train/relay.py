"""Who hears of the steps of a function that TensorFlow traces once, and that a model keeps.

Keras runs on with what it traced before, in the next `fit` and in that of the next test, whatever
was set on a layer or set free in between. So must a watched model: its function is never made anew
for watching. What its traces hand over goes to whoever watches the model when they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from ...errors import CaptureError
from ..backends import active
from ..record.reads import Deferred
from ..state.models import instance_attribute
from .standins import before_each

if TYPE_CHECKING:
    from ...records import Array
    from ..record.reads import Reads

Hears = Callable[[Any, "Array"], None]
"""What a watching run makes of a value that a step hands over."""


class Watching(Protocol):
    """A run that watches a model's steps."""

    @property
    def reads(self) -> Reads: ...
    def begin(self, step: str, data: Any) -> None: ...


@dataclass(eq=False)
class Relay:
    """Of one function. run: who watches it now. heard: whether its last execution handed anything
    over. form: of the data of a step. replayed: losses and metrics that a trace gave something to.
    """

    run: Watching | None = None
    heard: bool = False
    form: Any = None
    replayed: WeakValueDictionary[str, Any] = field(default_factory=WeakValueDictionary)
    _taps: list[Deferred] = field(default_factory=list)

    def read(self, reads: Reads, value: Any, heard: Hears) -> None:
        """Have `heard` called with a value of the step, now or whenever its program runs."""

        def receive(array: Array) -> None:
            self.heard = True
            if self.run is not None:
                heard(self.run, array)

        with reads.noting(self._taps):
            reads.read(value, receive)

    def begins(self, step: str, data: Any) -> None:
        if self.run is not None:
            self.run.begin(step, data)

    @contextmanager
    def told_to(self, run: Watching) -> Iterator[None]:
        """Inside, all that the function hands over goes there. What it has handed over with nobody
        watching is gone."""
        for tap in self._taps:
            with suppress(CaptureError):
                tap.drop()
            tap.moves_to(run.reads)
        self.run = run
        try:
            yield
        finally:
            self.run = None


_OF: WeakKeyDictionary[Any, Relay] = WeakKeyDictionary()


def relay_of(function: Any) -> Relay:
    """The one of a function that a model has, made by Keras before anybody watched or since."""
    try:
        return _OF.setdefault(function, Relay())
    except TypeError:  # a user's own, which takes no weak reference: it is kept by who asks
        return Relay()


def goes_on() -> bool:
    """Whether what a model has traced outlives a call that is watched."""
    return active() == "tensorflow"


@contextmanager
def relayed(model: Any, step: str) -> Iterator[None]:
    """Inside, nobody hears of a step, but a function that Keras makes of it may be told of."""
    if step == "predict" or not goes_on():
        yield
        return
    relay, name = Relay(), f"{step}_function"
    known = getattr(model, name, None)
    with standing(model, step, relay):
        yield
    made = getattr(model, name, None)
    if made is not None and made is not known:
        know(made, relay)


def standing(model: Any, step: str, relay: Relay) -> AbstractContextManager[None]:
    """Inside, the model's step tells a relay that it begins."""
    if not hasattr(model, f"{step}_step"):
        return nullcontext()
    own = getattr(model, f"{step}_step")
    told = before_each(own, lambda data: relay.begins(step, data))
    return instance_attribute(model, f"{step}_step", told)


def know(function: Any, relay: Relay) -> None:
    """From now on `relay` is the function's."""
    with suppress(TypeError):
        _OF[function] = relay
