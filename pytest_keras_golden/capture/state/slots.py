"""The variables of an optimizer beside its weights, by names that hold on every release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..watch.structure import joined

_NO_SLOTS = frozenset({"_variables", "_trainable_variables", "_learning_rate", "_tracker"})
"""Attributes of optimizers that list variables again, or hold what is told apart."""


def innermost(optimizer: Any) -> Any:
    """What a loss scale stands around."""
    return getattr(optimizer, "inner_optimizer", None) or optimizer


def slots_of(optimizer: Any, weights: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    names = {id(variable): name for name, variable in weights.items()}
    inner = innermost(optimizer)
    for one in dict.fromkeys((optimizer, inner)):
        trained = list(getattr(one, "_trainable_variables", ()) or ())
        for attribute in sorted(vars(one)):
            if attribute not in _NO_SLOTS:
                yield from _held(attribute, vars(one)[attribute], trained, names)


def _held(
    attribute: str, value: Any, trained: Sequence[Any], names: Mapping[int, str]
) -> Iterator[tuple[str, Any]]:
    plain = attribute.strip("_")
    if isinstance(value, dict):
        # By the paths that Keras gives variables, as Muon keeps its slots.
        paths = [str(getattr(variable, "path", "")) for variable in trained]
        value = [value.get(path) for path in paths] if value.keys() & set(paths) else ()
    if is_variable(value):
        yield plain, value
    elif isinstance(value, (list, tuple)) and len(value) == len(trained):
        for variable, slot in zip(trained, value, strict=True):
            if is_variable(slot):
                yield f"{names.get(id(variable), variable.name)}/{plain}", slot


def named_slots(model: Any, weights: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Of every optimizer that a model holds."""
    for attribute, optimizer in optimizers_of(model).items():
        for name, slot in slots_of(optimizer, weights):
            yield joined(attribute, name), slot


def optimizers_of(model: Any) -> dict[str, Any]:
    """The one that it was compiled with, by no name; by their attributes those that steps of its
    own class use beside it."""
    import keras

    compiled = getattr(model, "optimizer", None)
    others = {
        name.lstrip("_"): value
        for name, value in sorted(getattr(model, "__dict__", {}).items())
        if isinstance(value, keras.optimizers.Optimizer) and value is not compiled
    }
    return ({} if compiled is None else {"": compiled}) | others


def trainer_of(weight: Any, optimizers: Mapping[str, Any]) -> str:
    """The name of the optimizer that trains a weight, which must have begun to."""
    return next((name for name, one in optimizers.items() if _trains(one, weight)), "")


def _trains(optimizer: Any, weight: Any) -> bool:
    trained = getattr(innermost(optimizer), "_trainable_variables", None) or ()
    return any(one is weight for one in trained)


def is_variable(value: Any) -> bool:
    return hasattr(value, "assign") and hasattr(value, "dtype") and hasattr(value, "shape")
