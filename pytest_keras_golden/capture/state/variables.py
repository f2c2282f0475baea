"""Random and model state around a replay: put back as it was, whatever the replay did."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backends import to_numpy, unwrapped
from ..backends.nest import leaves
from .entropy import entropy_state, set_entropy_state
from .seeds import seed_to_come, set_seed_to_come

_QUANTISED = ("int4", "int8", "uint8", "float8")
"""Dtypes of quantised kernels: non-trainable, large, and never state."""


_LOSSES = ("_losses", "_loss_ids", "_losses_override")
"""Of a Keras layer: what its calls added, by which numbers it knows them in a stateless scope, and
what a step on jax has `losses` answer. A step that is broken off leaves the last behind, and the
next one, which empties what it then takes for its own, trains without regularization."""


class Snapshot:
    """State at one moment: random generators, the variables of layers as they are added, and what
    these layers added to the loss.

    The state of a layer is that at its first `add`.
    """

    def __init__(self, targets: Iterable[Any] = (), generators: bool = True) -> None:
        self._values: dict[int, tuple[Any, Any]] = {}
        self._losses: dict[tuple[int, str], tuple[Any, str, Any, list[Any]]] = {}
        self._generators = list(_generators()) if generators else []
        self._seeds = _seeds()
        self._default_seed = _keras_global(_DEFAULT_SEED)
        if self._seeds is not None:
            self._hold(self._seeds.state)
        for target in targets:
            self.add(target)

    def add(self, target: Any) -> None:
        for variable in stateful(target):
            self._hold(variable)
        for layer, name, added in _added_losses(target):
            known = (layer, name, added, list(added))
            self._losses.setdefault((id(layer), name), known)

    @property
    def variables(self) -> list[Any]:
        return [variable for variable, _ in self._values.values()]

    def restore(self) -> None:
        _put_keras_global(_SEEDS, self._seeds)
        _put_keras_global(_DEFAULT_SEED, self._default_seed)
        for variable, value in self._values.values():
            put(variable, value)
        for layer, name, kept, values in self._losses.values():
            # Past the tracking of Keras and torch: the very list that it was, which is tracked.
            object.__setattr__(layer, name, kept)
            kept.clear()
            kept.update(values) if isinstance(kept, set) else kept.extend(values)
        for set_state, state in self._generators:
            set_state(state)

    def _hold(self, variable: Any) -> None:
        if id(variable) not in self._values:
            self._values[id(variable)] = variable, held(variable)


def _added_losses(target: Any) -> Iterator[tuple[Any, str, Any]]:
    """Layer, attribute and list or set of what a layer and all that it holds added to the loss."""
    flattened = getattr(target, "_flatten_layers", None)
    for layer in flattened() if callable(flattened) else ():
        for name in _LOSSES:
            added = getattr(layer, name, None)
            if isinstance(added, (list, set)):
                yield layer, name, added


@contextmanager
def unchanged(targets: Iterable[Any], generators: bool = True) -> Iterator[None]:
    """Restore the state of these layers and of all random generators on leaving.

    generators: False leaves those of Python, numpy and torch where the block left them.
    """
    snapshot = Snapshot(targets, generators)
    try:
        yield
    finally:
        snapshot.restore()


def stateful(target: Any) -> list[Any]:
    """Variables that a forward call may write: statistics, counters, seeds."""
    variables = getattr(target, "non_trainable_variables", ())
    kept = [item for item in variables if not str(item.dtype).startswith(_QUANTISED)]
    return [*kept, *recurrent_states(target)]


def recurrent_states(target: Any) -> list[Any]:
    """What stateful recurrent layers carry from call to call: variables that no list of a layer's
    variables has."""
    layers = getattr(target, "_flatten_layers", None)
    flat = layers(include_self=True, recursive=True) if callable(layers) else ()
    return [state for layer in flat for state in states_of(layer)]


def states_of(layer: Any) -> list[Any]:
    """Those of one layer; none before it is built."""
    held = getattr(layer, "states", None) if getattr(layer, "stateful", False) else None
    return [item for item in leaves(held) if hasattr(item, "assign")]


def value_of(variable: Any) -> Any:
    """None of one that has none: asked for it, a variable not initialized yet would draw one."""
    return None if getattr(variable, "_value", variable) is None else unwrapped(variable)


def is_gone(value: Any) -> bool:
    """Whether nothing is left of what a variable held: jax deletes what it is donated, and with an
    average of weights the optimizer's variable may hold the very array of a weight."""
    deleted = getattr(value, "is_deleted", None)
    return value is None or bool(callable(deleted) and deleted())


def put(variable: Any, value: Any) -> None:
    """Have a variable hold this again, be it what nobody can read."""
    if not is_gone(value):
        variable.assign(value)
    elif getattr(variable, "_value", None) is not value:
        variable._value = value


def held(variable: Any) -> Any:
    value = value_of(variable)
    if is_gone(value):
        return value
    # A jax array never changes; others are written in place.
    return value if type(value).__module__.startswith("jax") else to_numpy(value)


_SEEDS = "global_seed_generator"
_DEFAULT_SEED = "global_random_seed"
"""Of generators to come, as `keras.utils.set_random_seed` left it."""


def _seeds() -> Any | None:
    """The generator behind unseeded `keras.random` calls; None until the first of them."""
    return _keras_global(_SEEDS)


def _keras_global(name: str) -> Any | None:
    from keras.src.backend.common import global_state

    return global_state.get_global_attribute(name)


def _put_keras_global(name: str, value: Any | None) -> None:
    from keras.src.backend.common import global_state

    global_state.set_global_attribute(name, value)


def _generators() -> Iterator[tuple[Callable[[Any], object], Any]]:
    yield random.setstate, random.getstate()
    yield np.random.set_state, np.random.get_state()
    yield set_entropy_state, entropy_state()
    torch = sys.modules.get("torch")
    if torch is not None:
        yield torch.set_rng_state, torch.get_rng_state()
        if torch.cuda.is_available():
            yield torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()
    if "tensorflow" in sys.modules:
        from ..backends.tensorflow import generators

        yield from generators()
    else:
        yield set_seed_to_come, seed_to_come()
