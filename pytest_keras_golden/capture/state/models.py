"""Everything a call of a model may write, held and put back: for running the call again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...store.digest import digest
from ..backends import copied, to_numpy
from .variables import Snapshot, recurrent_states


class ModelState:
    """All variables of a model, its optimizer and metrics, and every random state.

    step: `train` has the optimizer made first, so that it can be put back.
    """

    def __init__(self, model: Any, step: str = "") -> None:
        if step == "train":
            _build_optimizer(model)
        self._model = model
        self._random = Snapshot([model])
        self._values = [(item, copied(item.value)) for item in _variables(model)]

    def restore(self) -> None:
        if len(_variables(self._model)) > len(self._values):
            # Metrics are made by the first step that updates them, and never unmade.
            self._model.reset_metrics()
        self._random.restore()
        for variable, value in self._values:
            # A copy again: a train step donates what it is given, and we may restore twice.
            variable.assign(copied(value))

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
        return [digest(to_numpy(value)) for _, value in self._values]


def _build_optimizer(model: Any) -> None:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and is_built(model) and not optimizer.built:
        optimizer.build(model.trainable_variables)


def is_built(model: Any) -> bool:
    """Whether a model has the weights of all its layers. It may say so of itself alone: `build` of
    a model that has none of its own builds no layer."""
    flattened = getattr(model, "_flatten_layers", None)
    layers = flattened() if flattened is not None else ()
    return bool(model.built) and all(layer.built for layer in layers)


def _variables(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    held = [
        *model.variables,
        *recurrent_states(model),
        *getattr(model, "metrics_variables", ()),
        *(optimizer.variables if optimizer is not None and optimizer.built else ()),
    ]
    return list({id(variable): variable for variable in held}.values())


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
