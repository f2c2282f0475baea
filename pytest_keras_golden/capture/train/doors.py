"""The doors that every training goes through: what optimizers are given, what losses return, what
layers and weights add to them, and what metrics compare.

On every backend and release a step ends in `Optimizer.apply` (`stateless_apply` on jax), and the
update itself in `_backend_update_step`, behind clipping, accumulation and schedule.
`apply_gradients` is watched only so that what it calls is not taken for anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..replay.losses import compares, given_to
from ..watch import patches
from ..watch.calls import subclasses
from ..watch.patches import Run
from .roster import Values

_OPTIMIZER = ("apply", "stateless_apply", "apply_gradients", "_backend_update_step")
_ADDED = ("add_loss", "_get_regularization_losses")


class StepListener(Protocol):
    """Who is told what passes; called before the optimizer runs, and after. given: to a loss or a
    metric, by name, with the mask on its predictions."""

    def gradients(
        self, optimizer: Any, variables: Sequence[Any], grads: Sequence[Any], values: Values
    ) -> None: ...
    def applied(self, grads: Sequence[Any], variables: Sequence[Any], rate: Any) -> None: ...
    def stepped(self, optimizer: Any, values: Values) -> None: ...
    def loss(self, loss: Any, value: Any, given: Mapping[str, Any]) -> None: ...
    def metric(self, metric: Any, given: Mapping[str, Any]) -> None: ...
    def added(self, layer: Any, loss: Any) -> None: ...
    def regularized(self, weights: Sequence[Any], losses: Sequence[Any]) -> None: ...


class Onlooker:
    """Reads what a step goes through. failure: the first thing that could not be read, which the
    step itself never hears of."""

    failure: Exception | None = None

    @contextmanager
    def _safely(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error


class Doors:
    """Stands behind the doors of one block; the innermost of `listening` hears of them. raised: how
    often an exception came out of one, of which no listener hears."""

    def __init__(self) -> None:
        self.raised = 0
        self.thread = threading.get_ident()
        self._listeners: list[StepListener | None] = []
        self._optimizer: Any = None
        self._loss: Any = None
        self._metric: Any = None
        self._passing = 0
        self._opened: dict[tuple[Any, str], patches.Patch] = {}

    def open(self) -> None:
        """Watch every door that there is by now: backends load their optimizers when one is
        made."""
        fresh = [place for place in _places() if place not in self._opened]
        self._opened |= zip(fresh, patches.watch(fresh, self), strict=True)

    def close(self) -> None:
        patches.unwatch(self._opened.values(), self)
        self._opened.clear()

    @contextmanager
    def listening(self, listener: StepListener | None) -> Iterator[None]:
        """Tell `listener`, or nobody, inside."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.pop()

    @property
    def is_inside(self) -> bool:
        """Whether an optimizer is at work of which a listener was told."""
        return self._optimizer is not None or self._loss is not None or self._passing > 0

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        listener = self._listeners[-1] if self._listeners else None
        if listener is None:
            return run(*args, **kwargs)
        try:
            return self._told(listener, method, run, args, kwargs)
        except Exception:
            self.raised += 1
            raise

    def _told(self, listener: StepListener, method: str, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        if method == "__call__":
            return self._losses(listener, run, args, kwargs)
        if method == "update_state":
            return self._metrics(listener, run, args, kwargs)
        if method in _ADDED:
            return self._added(listener, method, run, args, kwargs)
        if method == "apply_gradients":
            return self._pass(run, args, kwargs)
        if method == "_backend_update_step":
            listener.applied(
                *_named(args, kwargs, ("grads", "trainable_variables", "learning_rate"))
            )
            return run(*args, **kwargs)
        return self._apply(listener, method, run, args, kwargs)

    def _pass(self, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        self._passing += 1
        try:
            return run(*args, **kwargs)
        finally:
            self._passing -= 1

    def _apply(self, listener: StepListener, method: str, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        # One optimizer around another (a loss scale, several in one) is told once.
        if self._optimizer is not None:
            return run(*args, **kwargs)
        self._optimizer = optimizer = args[0]
        try:
            listener.gradients(optimizer, *_given(method, args, kwargs))
            returned = run(*args, **kwargs)
            listener.stepped(optimizer, _made(method, optimizer, returned))
            return returned
        finally:
            self._optimizer = None

    def _losses(self, listener: StepListener, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        # A class of losses that calls the next one is one loss; what holds several is none.
        if self._loss is not None or type(args[0]).__name__ == "CompileLoss":
            return run(*args, **kwargs)
        self._loss = args[0]
        try:
            value = run(*args, **kwargs)
        finally:
            self._loss = None
        listener.loss(args[0], value, given_to(args[1:], kwargs))
        return value

    def _added(self, listener: StepListener, method: str, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        returned = run(*args, **kwargs)
        if method == "add_loss":
            listener.added(args[0], *_named(args, kwargs, ("loss",)))
        else:
            listener.regularized(_regularized(args[0]), returned)
        return returned

    def _metrics(self, listener: StepListener, run: Run, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        # As with losses. A mean is given values, and compares nothing.
        several = type(args[0]).__name__ in ("CompileMetrics", "MetricsList")
        if several or self._metric is not None or not compares(args[0].__class__):
            return run(*args, **kwargs)
        self._metric = args[0]
        try:
            listener.metric(args[0], given_to(args[1:], kwargs))
            return run(*args, **kwargs)
        finally:
            self._metric = None


@contextmanager
def doors() -> Iterator[Doors]:
    """Doors that are watched inside the block, in this thread."""
    watcher = Doors()
    watcher.open()
    try:
        yield watcher
    finally:
        watcher.close()


def _places() -> Iterator[tuple[Any, str]]:
    import keras

    wanted: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (keras.optimizers.Optimizer, _OPTIMIZER),
        (keras.losses.Loss, ("__call__",)),
        (keras.metrics.Metric, ("update_state",)),
    )
    for base, names in wanted:
        for owner in dict.fromkeys(k for kind in subclasses(base) for k in kind.__mro__):
            yield from ((owner, name) for name in names if name in vars(owner))
    # What overrides them calls these.
    yield from ((keras.layers.Layer, name) for name in _ADDED if name in vars(keras.layers.Layer))


def _regularized(layer: Any) -> list[Any]:
    return [weight for weight in layer.trainable_weights if weight.regularizer is not None]


def _named(args: Any, kwargs: Any, names: Sequence[str]) -> list[Any]:
    given = {**dict(zip(names, args[1:], strict=False)), **kwargs}
    return [given.get(name) for name in names]


def _given(method: str, args: Any, kwargs: Any) -> tuple[Sequence[Any], Sequence[Any], Values]:
    """Variables, their gradients in that order, and what stands for variables before the step."""
    if method == "stateless_apply":
        names = ("optimizer_variables", "grads", "trainable_variables")
        slots, grads, weights = _named(args, kwargs, names)
        return _trained(args[0]), list(grads), _values(args[0], weights, slots)
    grads, variables = _named(args, kwargs, ("grads", "trainable_variables"))
    return list(variables or _trained(args[0])), list(grads), {}


def _made(method: str, optimizer: Any, returned: Any) -> Values:
    return _values(optimizer, *returned) if method == "stateless_apply" else {}


def _values(optimizer: Any, weights: Sequence[Any], slots: Sequence[Any]) -> Values:
    every = [*zip(_trained(optimizer), weights, strict=False)]
    every += zip(optimizer.variables, slots, strict=False)
    return {id(variable): value for variable, value in every}


def _trained(optimizer: Any) -> list[Any]:
    inner = getattr(optimizer, "inner_optimizer", None)
    known = getattr(optimizer, "_trainable_variables", None) or getattr(
        inner, "_trainable_variables", ()
    )
    return list(known or ())
