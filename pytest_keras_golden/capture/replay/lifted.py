"""A model's layers computing in a higher precision, for a while.

Policies are lifted in place, and Keras' own autocast raises the stored weights, which is exact.
Nothing is rebuilt, so models without a config work too. Functional and Sequential models cast
inputs to the dtype that they were built for, so their symbolic inputs are lifted as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from ..backends import double_precision
from ..watch.structure import walk
from .lifted_keras2 import raised_attributes

FLOAT32_FOR = ("bfloat16", "float16")
FLOAT64_FOR = ("float32",)


@contextmanager
def lifted(targets: Iterable[Any], low: Sequence[str], higher: str) -> Iterator[None]:
    """Let every layer that computes in a precision of `low` compute in `higher`."""
    changed: list[tuple[Any, str, Any]] = []
    doubled = double() if higher == "float64" else nullcontext()
    try:
        for layer in _layers(targets):
            for attribute in ("_dtype_policy", "dtype_policy"):
                policy = vars(layer).get(attribute)
                if getattr(policy, "compute_dtype", None) in low:
                    changed.append((layer, attribute, policy))
                    object.__setattr__(layer, attribute, _computing_in(higher, policy))
                    for name, raised in raised_attributes(layer, low, higher):
                        changed.append((layer, name, vars(layer)[name]))
                        object.__setattr__(layer, name, raised)
            for tensor, attribute in _inputs(layer, low):
                changed.append((tensor, attribute, getattr(tensor, attribute)))
                object.__setattr__(tensor, attribute, higher)
        with doubled:
            yield
    finally:
        for owner, attribute, before in reversed(changed):
            object.__setattr__(owner, attribute, before)


@contextmanager
def double() -> Iterator[None]:
    """Inside, there is float64, and Keras lets it be: where it works out the dtype of a result, it
    has float32 for float64 on all backends but TensorFlow."""
    from keras.src.backend.common import dtypes

    narrowed = getattr(dtypes, "BIT64_TO_BIT32_DTYPE", {})
    before = narrowed.get("float64")
    if before is not None:
        narrowed["float64"] = "float64"
    try:
        with double_precision():
            yield
    finally:
        if before is not None:
            narrowed["float64"] = before


@contextmanager
def downcasts(told: Callable[[str], None]) -> Iterator[None]:
    """Inside, `told` hears of every cast of other numbers to a precision below float64."""
    from keras.src import backend

    places = [(module, name) for module in (backend, backend.core) for name in _CASTS]
    before = [getattr(module, name) for module, name in places]
    for (module, name), function in zip(places, before, strict=True):
        setattr(module, name, _telling(function, told))
    try:
        yield
    finally:
        for (module, name), function in zip(places, before, strict=True):
            setattr(module, name, function)


_CASTS = ("cast", "convert_to_tensor")
_LOWER = frozenset((*FLOAT32_FOR, *FLOAT64_FOR, "float8_e4m3fn", "float8_e5m2"))


def _telling(function: Callable[..., Any], told: Callable[[str], None]) -> Callable[..., Any]:
    def cast(x: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        name = str(getattr(dtype, "name", dtype))
        if name in _LOWER and name not in str(getattr(x, "dtype", name)):
            told(name)
        return function(x, dtype, *args, **kwargs)

    return cast


def _inputs(layer: Any, low: Sequence[str]) -> Iterator[tuple[Any, str]]:
    """Symbolic inputs of a graph and their layers that have a dtype of `low`, and where it is."""
    # A Sequential runs a Functional of its own, which is no layer of it by name.
    graph = getattr(layer, "_functional", None) or layer
    for tensor in getattr(graph, "_inputs", None) or ():
        history = getattr(tensor, "_keras_history", None)
        for owner in (tensor, *([history.operation] if history else [])):
            attribute = "_dtype" if "_dtype" in vars(owner) else "dtype"
            if vars(owner).get(attribute) in low:
                yield owner, attribute


def _computing_in(higher: str, policy: Any) -> Any:
    # Not by `copy`: policies of Keras 3.1 are made by a name that it does not give.
    lifted_policy = object.__new__(type(policy))
    vars(lifted_policy).update(vars(policy))
    lifted_policy._compute_dtype = higher
    # Equal dtypes would switch autocast off, and low-precision weights would meet float32 inputs.
    lifted_policy._variable_dtype = policy.variable_dtype
    return lifted_policy


def _layers(targets: Iterable[Any]) -> Iterator[Any]:
    seen: set[int] = set()
    for target in targets:
        for _, layer in walk(target):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
