"""What a call is given beside the numbers of its tensors: arguments, flags and masks.

A layer that is called otherwise than the golden's computes something else, and has not changed for
that: whoever calls it has.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...compare.calls import flags_differ
from ...errors import CaptureError
from ...records import Given
from ...store.digest import digest
from ..backends import view
from ..backends.nest import flatten
from ..tap.precision import dtype_name, is_numeric
from ..watch.calls import Call
from .masks import mask_of

_NAME = re.compile(r"\w{1,40}")
"""Text that names a mode; other text may be a path, or anything."""


def given_to(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
    """Of a watched call, by the names of its parameters, with what they are by default."""
    parameters = _parameters(call)
    named = list(_named(parameters, args, kwargs))
    # How an attention layer goes about it is its own affair, and changes with releases.
    own = call.kind == "attention"
    flags = {} if own else {**_flags(_defaults(parameters, dict(named))), **_flags(_places(named))}
    tensors = [(place, leaf) for place, leaf in _places(named) if is_numeric(leaf)]
    return Given(
        tensors=tuple(place for place, leaf in tensors if not _is_mask(leaf)),
        masks=tuple(place for place, leaf in tensors if _is_mask(leaf)),
        flags=flags,
        carried=carried_by(leaf for _, leaf in tensors),
    )


def passed(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Flags that a test itself passes, by their place; of no parameter that it leaves alone."""
    return _flags(_places([*((f"[{at}]", arg) for at, arg in enumerate(args)), *kwargs.items()]))


def carried_by(tensors: Iterable[Any]) -> tuple[str, ...]:
    """Digests of the Keras masks on tensors, which reach the next layer unseen."""
    masks = (mask_of(tensor) for tensor in tensors)
    return tuple(filter(None, (_digest(mask) for mask in masks if mask is not None)))


def _digest(mask: Any) -> str | None:
    """None for one that holds no numbers now."""
    try:
        return digest(view(mask))
    except CaptureError:
        return None


@dataclass(frozen=True, slots=True)
class Otherwise:
    """How a call differs from the golden's, in words. by_mask: by what tensors carry unseen."""

    why: str
    by_mask: bool = False


def called_otherwise(name: str, golden: Given | None, now: Given) -> Otherwise | None:
    """How a call differs from the golden's of that name; None where it does not, or where the
    golden does not tell.
    """
    if golden is None:
        return None
    if len(golden.tensors) != len(now.tensors):
        return Otherwise(f"{name} is called with {_counts(golden.tensors, now.tensors)}")
    if _has_mask(golden) != _has_mask(now):
        how = "with a mask, the golden's without" if _has_mask(now) else "without the golden's mask"
        return Otherwise(f"{name} is called {how}", not golden.masks and not now.masks)
    if not golden.masks and not now.masks and set(golden.carried) != set(now.carried):
        return Otherwise(f"{name} is called with another mask", by_mask=True)
    flag = flags_differ(name, golden.flags, now.flags)
    return None if flag is None else Otherwise(flag)


def _counts(golden: Sequence[str], now: Sequence[str]) -> str:
    more = [place for place in now if place not in golden]
    fewer = [place for place in golden if place not in now]
    names = f" ({more[0]} is new)" if more else f" ({fewer[0]} is gone)" if fewer else ""
    noun = "tensor" if len(now) == 1 else "tensors"
    return f"{len(now)} {noun}, in the golden with {len(golden)}{names}"


def _has_mask(given: Given) -> bool:
    return bool(given.masks or given.carried)


# -- arguments by name ----------------------------------------------------------------------


def _parameters(call: Call) -> Mapping[str, inspect.Parameter]:
    method = "call" if call.method == "__call__" else call.method
    try:
        return inspect.signature(getattr(call.target, method)).parameters
    except (AttributeError, TypeError, ValueError):
        return {}


def _named(
    parameters: Mapping[str, inspect.Parameter], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Arguments in the order in which their tensors are counted."""
    names = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    for at, value in enumerate(args):
        yield names[at] if at < len(names) else f"[{at}]", value
    yield from sorted(kwargs.items())


def _defaults(
    parameters: Mapping[str, inspect.Parameter], passed: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for name, parameter in parameters.items():
        if name not in passed and parameter.default is not parameter.empty:
            yield name, parameter.default


def _places(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, value in named:
        yield from ((f"{name}{path}", leaf) for path, leaf in flatten(value))


def _is_mask(leaf: Any) -> bool:
    return dtype_name(leaf.dtype) == "bool"


def _flags(places: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {
        place: str(leaf)
        for place, leaf in places
        if isinstance(leaf, (bool, int, float)) or (isinstance(leaf, str) and _NAME.fullmatch(leaf))
    }
