"""JSON of strangers as frozen values: the annotations of a dataclass are the schema it is read by.

msgspec would do most of it, but refuses lone surrogates, which node ids of badly encoded file names
have, reads "inf" as a number only where it reads every text as one, and keeps the last of repeated
keys. A JSON Schema would tell a second time what the dataclasses say, several times slower.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from .strict import FieldError, shown

Read = Callable[[Any], Any]
"""A parsed JSON value as the value that a field wants. Raises FieldError."""

MAX_DEPTH = 24
# Distances in ULPs of float64 need 65 bits.
_MAX_INT = 2**128
_SPELLED = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


@cache
def reader(hint: Any) -> Read:
    """How to read a field of this type; made once per type.

    Knows str, int, float, bool, None, Any, Literal, unions, tuples, mappings of text, dataclasses,
    and `Annotated` with a check: a function from the value to a problem, or None.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return _anything
    if origin is Annotated:
        return _checked(reader(args[0]), args[1])
    if origin is Literal:
        return _one_of(args)
    if origin in (Union, types.UnionType):
        return _either(args)
    if origin is tuple:
        return _sequence(args)
    if origin in (Mapping, dict):
        return _mapping(reader(args[1]))
    return _object(hint) if is_dataclass(hint) else _SCALARS[hint]


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise _unlike(value, "a text")


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _unlike(value, "true or false")


def _integer(value: Any) -> int:
    if type(value) is int and -_MAX_INT <= value < _MAX_INT:
        return value
    raise _unlike(value, "an integer")


def _number(value: Any) -> float:
    """Numbers that JSON has not are spelled: "inf", "-inf", "nan"."""
    if type(value) is float:
        return value
    if type(value) is int and -_MAX_INT <= value < _MAX_INT:
        return float(value)
    if type(value) is str and value in _SPELLED:
        return _SPELLED[value]
    raise _unlike(value, "a number")


def _nothing(value: Any) -> None:
    if value is not None:
        raise _unlike(value, "null")


_SCALARS: Mapping[Any, Read] = {
    str: _text,
    bool: _flag,
    int: _integer,
    float: _number,
    types.NoneType: _nothing,
}


def _anything(value: Any) -> Any:
    if type(value) is dict or type(value) is list:
        _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Any, depth: int) -> None:
    if depth == 0:
        raise FieldError("is nested too deeply")
    if isinstance(value, dict):
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        if isinstance(item, (dict, list)):
            _check_depth(item, depth - 1)


def _checked(read: Read, problem: Callable[[Any], str | None]) -> Read:
    def check(value: Any) -> Any:
        value_read = read(value)
        wrong = problem(value_read)
        if wrong is not None:
            raise FieldError(f"is {shown(value)}: {wrong}")
        return value_read

    return check


def _one_of(choices: tuple[Any, ...]) -> Read:
    # By type too: True equals 1, and what cannot be hashed is in no set.
    known = {kind: frozenset(c for c in choices if type(c) is kind) for kind in map(type, choices)}

    def check(value: Any) -> Any:
        if value in known.get(type(value), ()):
            return value
        raise _unlike(value, f"one of {', '.join(map(str, choices))}")

    return check


def _either(args: tuple[Any, ...]) -> Read:
    *others, last = (reader(arg) for arg in args if arg is not types.NoneType)
    optional = types.NoneType in args

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        for other in others:
            with suppress(FieldError):
                return other(value)
        return last(value)

    return read


def _sequence(args: tuple[Any, ...]) -> Read:
    if args[1:] == (...,):
        read = reader(args[0])
        return lambda value: tuple(_items(read, _list(value)))
    reads = tuple(map(reader, args))

    def exactly(value: Any) -> tuple[Any, ...]:
        if len(_list(value)) != len(reads):
            raise _unlike(value, f"a list of {len(reads)}")
        paired = list(zip(reads, value, strict=True))
        return tuple(_items(lambda pair: pair[0](pair[1]), paired))

    return exactly


def _list(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    raise _unlike(value, "a list")


def _items(read: Read, values: list[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        items.extend(map(read, values))
    except FieldError as error:
        raise error.within(f"[{len(items)}]") from None
    return items


def _mapping(read: Read) -> Read:
    def mapping(value: Any) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        key = ""
        try:
            for key, item in _dict(value).items():
                entries[key] = read(item)
        except FieldError as error:
            raise error.within(f"[{shown(key)}]") from None
        return entries

    return mapping


def _dict(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise _unlike(value, "an object")


def _object(cls: Any) -> Read:
    """Keys that the class does not have are ignored: a later version may have added some."""
    hints = get_type_hints(cls, include_extras=True)
    wanted = [(field.name, reader(hints[field.name]), _required(field)) for field in fields(cls)]

    def build(value: Any) -> Any:
        given, found, name = _dict(value), {}, ""
        try:
            for name, read, required in wanted:
                if name in given:
                    found[name] = read(given[name])
                elif required:
                    break
            else:
                return cls(**found)
        except FieldError as error:
            raise error.within(f".{name}") from None
        raise FieldError(f"has no {name!r}")

    return build


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _unlike(value: Any, wanted: str) -> FieldError:
    return FieldError(f"is {shown(value)}: expected {wanted}")
