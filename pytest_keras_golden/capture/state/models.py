"""Everything a call of a model may write, held and put back: for running the call again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ...store.digest import digest
from ..backends import active, copied, given_back, untraced, view
from .slots import optimizers_of
from .variables import Snapshot, is_gone, put, recurrent_states, value_of


class ModelState:
    """All variables of a model, its optimizers and metrics, and every random state."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._random = Snapshot([model])
        variables = _variables(model)
        values = [value_of(variable) for variable in variables]
        self._values = list(zip(variables, values, _each(copied, values), strict=True))

    @contextmanager
    def with_slots(self) -> Iterator[None]:
        """Inside, an optimizer that the call itself makes its slots for is known as it was then:
        what a call that raises has not made, it must not leave behind."""
        with ExitStack() as stack:
            for optimizer in optimizers_of(self._model).values():
                if not optimizer.built and hasattr(optimizer, "build"):
                    build = self._noting(optimizer)
                    stack.enter_context(instance_attribute(optimizer, "build", build))
            yield

    def _noting(self, optimizer: Any) -> Callable[..., Any]:
        build = optimizer.build

        def built(*args: Any, **kwargs: Any) -> Any:
            # What TensorFlow makes while it traces would have no numbers yet.
            with untraced():
                returned = build(*args, **kwargs)
                self._add(optimizer.variables)
            return returned

        return built

    def _add(self, variables: Sequence[Any]) -> None:
        known = {id(variable) for variable, *_ in self._values}
        for variable in variables:
            if id(variable) not in known:
                value = value_of(variable)
                self._values.append((variable, value, copied(value)))

    def restore(self) -> None:
        if len(_variables(self._model)) > len(self._values):
            # Metrics are made by the first step that updates them, and never unmade.
            self._model.reset_metrics()
        self._random.restore()
        lost = [
            (variable, copy) for variable, value, copy in self._values if not _put(variable, value)
        ]
        # Copies again: a train step donates what it is given, and we may restore twice.
        fresh = _each(given_back, [copy for _, copy in lost])
        for (variable, _), value in zip(lost, fresh, strict=True):
            put(variable, value)

    @contextmanager
    def around(self) -> Iterator[None]:
        """As it was here at the beginning of the block, and again at its end."""
        self.restore()
        try:
            yield
        finally:
            self.restore()

    def equals(self, other: ModelState) -> bool:
        return self._digests() == other._digests()

    def _digests(self) -> list[str]:
        copies = (copy for _, _, copy in self._values)
        return ["" if is_gone(copy) else digest(view(copy)) for copy in copies]


def made_for_training(model: Any) -> bool:
    """Whether everything that a train step writes is there, to be put back after it, or will be
    known when the step makes it, as the slots of the optimizer that a model was compiled with; one
    of several may be none that its steps use. Where TensorFlow spreads a model, slots are made
    inside of that."""
    every = optimizers_of(model)
    if not is_built(model) or len(every) > 1:
        return is_built(model) and all(one.built for name, one in every.items() if name)
    strategy = getattr(model, "_distribute_strategy", None)
    if strategy is not None:
        for optimizer in every.values():
            if not optimizer.built:
                with strategy.scope():
                    optimizer.build(model.trainable_variables)
    return True


def is_built(model: Any) -> bool:
    """Whether a model has the weights of all its layers. It may say so of itself alone: `build` of
    a model that has none of its own builds no layer."""
    flattened = getattr(model, "_flatten_layers", None)
    layers = flattened() if flattened is not None else ()
    return bool(model.built) and all(layer.built for layer in layers)


def _variables(model: Any) -> list[Any]:
    held = [
        *model.variables,
        *recurrent_states(model),
        *getattr(model, "metrics_variables", ()),
        *(
            slot
            for optimizer in optimizers_of(model).values()
            if optimizer.built
            for slot in optimizer.variables
        ),
    ]
    return list({id(variable): variable for variable in held}.values())


def _put(variable: Any, value: Any) -> bool:
    """Whether a variable could be given back the very array that it had: those of jax are never
    written, but may be gone."""
    if active() != "jax" or is_gone(value) or isinstance(value, np.ndarray):
        return False
    if value_of(variable) is not value:
        put(variable, value)
    return True


def _each(make: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """One of each, however many variables hold it: on jax a weight and its average may be one
    array, which the next step refuses to be given twice, whoever watches."""
    made: dict[int, Any] = {}
    for value in values:
        if id(value) not in made:
            made[id(value)] = value if is_gone(value) else make(value)
    return [made[id(value)] for value in values]


@contextmanager
def kept(model: Any) -> Iterator[None]:
    """Everything that a call of the model may write is afterwards as it is now."""
    now = ModelState(model)
    try:
        yield
    finally:
        now.restore()


@contextmanager
def attribute(model: Any, name: str, value: Any) -> Iterator[None]:
    """`model.name = value` inside the block, as it was afterwards."""
    kept = getattr(model, name, None)
    setattr(model, name, value)
    try:
        yield
    finally:
        setattr(model, name, kept)


@contextmanager
def instance_attribute(model: Any, name: str, value: Any) -> Iterator[None]:
    """As `attribute`, of this object alone and past the tracking of Keras and torch."""
    missing = object()
    kept = vars(model).get(name, missing)
    object.__setattr__(model, name, value)
    try:
        yield
    finally:
        if kept is missing:
            object.__delattr__(model, name)
        else:
            object.__setattr__(model, name, kept)
