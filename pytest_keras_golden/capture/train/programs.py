"""The functions of a model's steps, which Keras makes and compiles, while the steps are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from ..backends import active
from ..state.models import instance_attribute
from .outlet import Beside, Outlets

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
    where watching changes nothing, or nobody can run a step twice. outlets: by which values leave
    it, other than by callbacks."""

    function: Any
    plain: Any | None
    run: Executes
    step: str
    standing: Standing
    outlets: Outlets | None

    def __call__(self, *args: Any) -> Any:
        __tracebackhide__ = True
        return self.run.execute(self.step, self, args)

    def watched(self, args: tuple[Any, ...]) -> tuple[Any, Sequence[Beside]]:
        """What the function returned, and what left it beside that."""
        __tracebackhide__ = True
        with self.standing():
            returned = self.function(*args)
        return (returned, ()) if self.outlets is None else self.outlets.apart(returned)


@dataclass
class Programs:
    """What a model's `make_train_function` and the like make while its steps are watched.

    twice: whether a step may run once more than it does for the test. compiled: what Keras made
    before, until it is asked for another: it hands nothing over, and goes on being the model's.
    """

    run: Executes
    model: Any
    step: str
    twice: bool
    standing: Standing
    outlets: Outlets | None
    compiled: Any = None
    _begun: bool = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        name = f"make_{self.step}_function"
        make = getattr(self.model, name)

        def made(*args: Any, **kwargs: Any) -> Any:
            return self._made(lambda: make(*args, **kwargs), _is_forced(args, kwargs))

        self.compiled = getattr(self.model, self._name, None)
        setattr(self.model, self._name, None)
        try:
            with instance_attribute(self.model, name, made):
                yield
        finally:
            left = getattr(self.model, self._name, None)
            if isinstance(left, Watched) or not self._begun:
                # None where Keras has dropped it, as it does when a model is compiled anew.
                setattr(self.model, self._name, getattr(left, "plain", None) or self.compiled)

    def _made(self, make: Callable[[], Any], forced: bool) -> Any:
        known = getattr(self.model, self._name, None)
        if isinstance(known, Watched) and not forced:
            return make()
        if self._begun or forced:
            self.compiled = None
        self._begun = True
        self.run.begins()
        plain = None
        if self.twice and is_compiled_by_jax(self.model):
            plain = self.compiled or self._fresh(make, nullcontext)[0]
        function, returned = self._fresh(make, self.standing)
        if function is not None:
            watched = Watched(function, plain, self.run, self.step, self.standing, self.outlets)
            setattr(self.model, self._name, watched)
        return returned

    def _fresh(self, make: Callable[[], Any], standing: Standing) -> tuple[Any, Any]:
        """What Keras makes, and what it was asked for."""
        setattr(self.model, self._name, None)
        with standing():
            returned = make()
        return getattr(self.model, self._name, None), returned

    @property
    def _name(self) -> str:
        return f"{self.step}_function"


def is_compiled_by_jax(model: Any) -> bool:
    eagerly = getattr(model, "run_eagerly", False) or not getattr(model, "jit_compile", True)
    return active() == "jax" and not eagerly


def _is_forced(args: tuple[Any, ...], kwargs: Any) -> bool:
    return bool(kwargs.get("force", args[0] if args else False))
