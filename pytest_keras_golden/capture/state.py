"""Random and model state around a replay: put back as it was, whatever the replay did."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .backends import to_numpy

_QUANTISED = ("int4", "int8", "uint8", "float8")
"""Dtypes of quantised kernels: non-trainable, large, and never state."""


class Snapshot:
    """Non-trainable variables, seed generators and random states at one moment."""

    def __init__(self, targets: Iterable[Any]) -> None:
        variables = {id(item): item for target in targets for item in stateful(target)}
        seed = global_seed_state()
        if seed is not None:
            variables[id(seed)] = seed
        self._values = [(variable, held(variable)) for variable in variables.values()]
        self._generators = list(_generators())

    def restore(self) -> None:
        for variable, value in self._values:
            variable.assign(value)
        for put, state in self._generators:
            put(state)


@contextmanager
def unchanged(targets: Iterable[Any]) -> Iterator[None]:
    """Restore the state of these layers and of all random generators on leaving."""
    snapshot = Snapshot(targets)
    try:
        yield
    finally:
        snapshot.restore()


def stateful(target: Any) -> list[Any]:
    """Variables that a forward call may write: statistics, counters, seeds."""
    variables = getattr(target, "non_trainable_variables", ())
    return [item for item in variables if not str(item.dtype).startswith(_QUANTISED)]


def held(variable: Any) -> Any:
    value = variable.value
    # A jax array never changes; others are written in place.
    return value if type(value).__module__.startswith("jax") else to_numpy(value)


def global_seed_state() -> Any | None:
    """The variable behind unseeded `keras.random` calls, where one exists yet."""
    from keras.src.backend.common import global_state

    generator = global_state.get_global_attribute("global_seed_generator")
    return None if generator is None else generator.state


def _generators() -> Iterator[tuple[Callable[[Any], object], Any]]:
    yield random.setstate, random.getstate()
    yield np.random.set_state, np.random.get_state()
    torch = sys.modules.get("torch")
    if torch is not None:
        yield torch.set_rng_state, torch.get_rng_state()
        if torch.cuda.is_available():
            yield torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()
