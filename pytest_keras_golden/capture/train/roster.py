"""The variables of a model, its optimizer and metrics, by names that hold on every release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..backends import to_numpy
from ..state.fingerprints import named_seeds
from ..state.slots import is_variable, named_slots, slots_of
from ..state.weights import named_weights
from ..tap.precision import coarsest, dtype_name
from ..watch.calls import counted

if TYPE_CHECKING:
    from ...records import Array

Values = Mapping[int, Any]
"""id of a variable → what it holds now, where that is kept outside of the variable: by the loops of
jax, and where a step is a function of numbers alone."""


@dataclass(frozen=True)
class Roster:
    """Structural name → variable. slots: `dense/kernel/momentums`, of the optimizer itself
    `iterations` and the like. seeds: states of random generators."""

    weights: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Iterator[str]:
        """Of everything in it, each kind apart."""
        held = (self.weights, self.slots, self.metrics, self.seeds)
        return (f"{kind} {name}" for kind, names in enumerate(held) for name in names)

    def name_of(self, variable: Any) -> str:
        """Of one of its weights; of any other variable the path that Keras gave it."""
        known = next((name for name, item in self.weights.items() if item is variable), None)
        return known or str(getattr(variable, "path", None) or variable.name)


@dataclass(frozen=True)
class Home:
    """Where what an optimizer trains lives: a model that was called, or no layer at all."""

    path: str = ""
    model: Any = None

    @property
    def arithmetic(self) -> str:
        return "" if self.model is None else arithmetic_of(self.model)


def roster_of(model: Any, path: str, aliases: Sequence[tuple[str, str]]) -> Roster:
    """Of a built model."""
    weights = named_weights(model, path, aliases)
    return Roster(
        weights=weights,
        slots=dict(named_slots(model, weights)),
        metrics=dict(_metrics(model)),
        seeds=dict(named_seeds(model, path)),
    )


def read(named: Mapping[str, Any], values: Values) -> dict[str, Array]:
    """Host copies; without variables that hold no numbers yet."""
    found = ((name, _value(variable, values)) for name, variable in named.items())
    return {name: to_numpy(value) for name, value in found if value is not None}


def _value(variable: Any, values: Values) -> Any | None:
    known = values.get(id(variable))
    if known is not None:
        return known
    if not is_variable(variable):
        return variable
    # Asked for its value, a variable that is not initialized yet would draw one.
    return None if getattr(variable, "_value", variable) is None else variable.value


def arithmetic_of(model: Any) -> str:
    """The coarsest arithmetic of a model's layers, through all of which its gradients went."""
    layers = getattr(model, "_flatten_layers", None)
    flat = layers(include_self=True, recursive=True) if callable(layers) else (model,)
    return coarsest(str(getattr(layer, "compute_dtype", None) or "") for layer in flat)


def precision_of(variable: Any, arithmetic: str) -> str:
    return coarsest([arithmetic, dtype_name(variable.dtype)])


@dataclass(frozen=True)
class Trainee:
    """What an optimizer trains in a loop of the test's own."""

    optimizer: Any
    home: Home
    variables: Sequence[Any]

    @property
    def arithmetic(self) -> str:
        return self.home.arithmetic

    def roster(self, aliases: Sequence[tuple[str, str]]) -> Roster:
        """Variables that no layer holds are counted."""
        home = self.home
        held = {} if home.model is None else named_weights(home.model, home.path, aliases)
        names = {id(variable): name for name, variable in held.items()}
        weights = {
            names.get(id(variable), f"variables/{at}"): variable
            for at, variable in enumerate(self.variables)
        }
        return Roster(weights=weights, slots=dict(slots_of(self.optimizer, weights)))


def _metrics(model: Any) -> Iterator[tuple[str, Any]]:
    counts: dict[str, int] = {}
    for metric in (one for held in getattr(model, "metrics", ()) for one in _apart(held)):
        name = counted(str(metric.name), counts)
        for variable in metric.variables:
            yield f"{name}/{variable.name}", variable


def _apart(metric: Any) -> Sequence[Any]:
    """What `compile` was given is one metric of Keras' that holds the others."""
    return metric.metrics if type(metric).__name__ == "CompileMetrics" else (metric,)
