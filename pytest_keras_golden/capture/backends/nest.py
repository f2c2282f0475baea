"""Nests of tensors: the only walk over containers, for reading leaves and for exchanging them.

Containers are mappings, lists, tuples, namedtuples and dataclasses, as Keras and its backends take
them; None holds nothing. Everything else is a leaf.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

Exchange = Callable[[Any], Any]


def flatten(nest: Any) -> list[tuple[str, Any]]:
    """Leaves with their paths: `[0]`, `[key]`, `[field]`; "" for a lone leaf.

    Mappings go by the names of their keys, since torch's trees return them so and other backends'
    as they were made; namedtuples and dataclasses go by field.
    """
    return list(_leaves("", nest))


def leaves(nest: Any) -> Iterator[Any]:
    """As `flatten`, without the paths."""
    return (leaf for _, leaf in _leaves("", nest))


def exchanged(nest: Any, exchange: Exchange) -> Any:
    """The nest with `exchange(leaf)` in the place of every leaf, in the order of `flatten`.

    Containers keep their types; one in which nothing was exchanged is the object it was.
    """
    if nest is None:
        return None
    parts = _children(nest)
    if parts is None:
        return exchange(nest)
    fresh = [exchanged(child, exchange) for _, child in parts]
    if all(new is old for new, (_, old) in zip(fresh, parts, strict=True)):
        return nest
    return _rebuilt(nest, [key for key, _ in parts], fresh)


def _leaves(path: str, nest: Any) -> Iterator[tuple[str, Any]]:
    if nest is None:
        return
    parts = _children(nest)
    if parts is None:
        yield path, nest
        return
    for key, child in parts:
        yield from _leaves(f"{path}[{key}]", child)


def _children(nest: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(nest, (list, tuple)):
        return list(zip(getattr(nest, "_fields", range(len(nest))), nest, strict=True))
    if isinstance(nest, Mapping):
        return sorted(nest.items(), key=lambda pair: str(pair[0]))
    if is_dataclass(nest) and not isinstance(nest, type):
        return [(field.name, getattr(nest, field.name)) for field in fields(nest)]
    return None


def _rebuilt(nest: Any, keys: Sequence[Any], values: Sequence[Any]) -> Any:
    if isinstance(nest, (list, tuple)):
        return type(nest)(*values) if hasattr(nest, "_fields") else type(nest)(values)
    pairs = dict(zip(keys, values, strict=True))
    if isinstance(nest, Mapping):
        return _mapping(nest, {key: pairs[key] for key in nest})
    fresh = copy.copy(nest)
    for name, value in pairs.items():
        # Frozen dataclasses refuse plain assignment.
        object.__setattr__(fresh, name, value)
    return fresh


def _mapping(nest: Mapping[Any, Any], pairs: dict[Any, Any]) -> Any:
    if type(nest) is dict:
        return pairs
    if not hasattr(nest, "update"):
        # A read-only view: whoever reads it cannot tell it from a dict.
        return pairs
    fresh: Any = copy.copy(nest)
    fresh.update(pairs)
    return fresh
