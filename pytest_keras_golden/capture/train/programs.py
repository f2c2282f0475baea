"""The functions of a model's steps, which Keras makes and compiles, while the steps are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ..backends import active
from ..record.again import is_program
from ..record.outlet import Beside, Outlets
from ..state.models import instance_attribute, is_built
from .relay import Relay, goes_on, know, relay_of, standing

Standing = Callable[[], "AbstractContextManager[None]"]
"""Inside, what listens stands in the place of the model's step, while that is traced or run."""


class Executes(Protocol):
    """Who runs a step's function for `fit` and the like."""

    def execute(self, step: str, function: Watched, args: tuple[Any, ...]) -> Any: ...

    def begins(self) -> None:
        """Told before the first function is made: the model has its weights."""


@dataclass
class Watched:
    """A step's function, as `fit` and the like call it. plain: one that hands nothing over; None
    where watching changes nothing, or nobody can run a step twice. own: what the model goes on with
    when nobody watches it any more. outlets: by which values leave it, other than by callbacks.
    relay: to whom it hands over, where that outlives who watches it. earlier: whether the plain one
    was made before this call, and may be another program by now than one that is made anew."""

    function: Any
    plain: Any | None
    own: Any | None
    run: Executes
    step: str
    standing: Standing
    outlets: Outlets | None
    relay: Relay | None = None
    earlier: bool = False

    def __call__(self, *args: Any) -> Any:
        __tracebackhide__ = True
        return self.run.execute(self.step, self, args)

    def watched(self, args: tuple[Any, ...]) -> tuple[Any, Sequence[Beside]]:
        """What the function returned, and what left it beside that."""
        __tracebackhide__ = True
        with self.standing():
            returned = self.function(*args)
        return (returned, ()) if self.outlets is None else self.outlets.apart(returned)


@dataclass(frozen=True)
class _Earlier:
    """What Keras had made before anybody watched: as good as new, until Keras drops it, as it does
    when a model is compiled anew. Stands in its place, so that Keras drops this."""

    own: Any

    def __call__(self, *args: Any) -> Any:
        return self.own(*args)


@dataclass(frozen=True)
class Programs:
    """What a model's `make_train_function` and the like make while its steps are watched.

    twice: whether a step may run once more than it does for the test. relays: whether functions are
    made once for all who watch.
    """

    run: Executes
    model: Any
    step: str
    twice: bool
    standing: Standing
    outlets: Outlets | None
    relays: bool = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        name = f"make_{self.step}_function"
        make = getattr(self.model, name)

        def made(*args: Any, **kwargs: Any) -> Any:
            return self._made(lambda: make(*args, **kwargs), _is_forced(args, kwargs))

        compiled = self._known
        self._know(compiled and _Earlier(compiled))
        try:
            with instance_attribute(self.model, name, made):
                yield
        finally:
            known = self._known
            if isinstance(known, (Watched, _Earlier)):
                self._know(known.own)

    def _made(self, make: Callable[[], Any], forced: bool) -> Any:
        known = self._known
        if isinstance(known, Watched) and not forced:
            return make()
        self.run.begins()
        own = known.own if isinstance(known, _Earlier) else None
        if goes_on():
            return self._relayed(make, own)
        own = None if forced else own
        plain, earlier = None, own is not None
        if self.twice and is_compiled_by_jax(self.model):
            plain = own = own or self._fresh(make, nullcontext)[0]
        function, returned = self._fresh(make, self.standing)
        if own is not None and is_program(own) != is_program(function):
            # Switched between two `fit`, which Keras does not hear of: what it made runs on.
            self._know(own)
        elif function is not None:
            ways = (self.run, self.step, self.standing, self.outlets, None)
            self._know(Watched(function, plain, own, *ways, earlier=earlier))
        return returned

    def _relayed(self, make: Callable[[], Any], own: Any) -> Any:
        """own: what Keras has made before, and runs on with."""
        relay = Relay()
        self._know(own)
        with self._beginning(relay):
            returned = make()
        made = self._known
        if made is None:
            return returned
        if made is own:
            relay = relay_of(own)
        else:
            know(made, relay)
        watched = self._apart(make, made, made is own) or self._tapped(made, relay)
        self._know(watched)
        return watched if returned is made else returned

    def _tapped(self, made: Any, relay: Relay) -> Watched:
        """What is traced of Keras' own function hands over by the way."""
        begins = partial(self._beginning, relay)
        return Watched(made, None, made, self.run, self.step, begins, None, relay)

    def _apart(self, make: Callable[[], Any], made: Any, earlier: bool) -> Watched | None:
        """Keras' own function, and one beside it that is watched. None where a step cannot be run
        twice: its variables are not there yet, or live on several devices."""
        spread = getattr(self.model, "_distribute_strategy", None) is not None
        if not (self.twice and self.relays and is_program(made)):
            return None
        if spread or not is_built(self.model):
            return None
        function, _ = self._fresh(make, self.standing)
        ways = (self.run, self.step, self.standing, None, None)
        return Watched(function, made, made, *ways, earlier=earlier)

    def _beginning(self, relay: Relay) -> AbstractContextManager[None]:
        return standing(self.model, self.step, relay) if self.relays else nullcontext()

    def _fresh(self, make: Callable[[], Any], standing: Standing) -> tuple[Any, Any]:
        """What Keras makes, and what it was asked for."""
        self._know(None)
        with standing():
            returned = make()
        return self._known, returned

    @property
    def _known(self) -> Any:
        """What the model has for its steps; None until it is asked for."""
        return getattr(self.model, f"{self.step}_function", None)

    def _know(self, function: Any) -> None:
        setattr(self.model, f"{self.step}_function", function)


def is_compiled_by_jax(model: Any) -> bool:
    eagerly = getattr(model, "run_eagerly", False) or not getattr(model, "jit_compile", True)
    return active() == "jax" and not eagerly


def _is_forced(args: tuple[Any, ...], kwargs: Any) -> bool:
    return bool(kwargs.get("force", args[0] if args else False))
