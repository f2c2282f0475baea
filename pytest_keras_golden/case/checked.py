"""Tensors that were handed over by hand, in any nest, as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..compare.numbers import PYTHON_FLOAT
from ..errors import CaptureError
from ..records import Kind, TensorRecord
from ..tolerance import parse

if TYPE_CHECKING:
    from ..records import Array

Known = Callable[[str, "Array"], "tuple[Array | None, str]"]
"""Name and memory of a tensor → the same bytes, held elsewhere, None where there are none; and its
digest, "" where nobody took it."""


def records(
    name: str,
    tensor: Any,
    tolerance: Any = None,
    reference: Any = None,
    known: Known = lambda name, array: (None, ""),
) -> Iterator[TensorRecord]:
    """One record a tensor of the nest `tensor`, called `name` and its place in the nest.

    tolerance, reference: as `GoldenTensors.check` takes them. known: spares copies. Raises
    CaptureError for an empty nest or a reference of another form.
    """
    from ..capture.backends import to_numpy, view
    from ..capture.backends.nest import flatten
    from ..capture.backends.numpy import owned

    wanted = None if tolerance is None else parse(tolerance)
    leaves = flatten(tensor)
    if not leaves:
        raise CaptureError(f"check({name!r}) got an empty nest", "Pass at least one tensor.")
    references = dict(flatten(reference)) if reference is not None else {}
    _refuse_strangers(name, [suffix for suffix in references if suffix not in dict(leaves)])
    for suffix, leaf in leaves:
        seen = view(leaf)
        held, key = known(name + suffix, seen)
        value = owned(seen) if held is None else held
        own = PYTHON_FLOAT if type(leaf) is float else ""
        exact = to_numpy(references[suffix]) if suffix in references else None
        if exact is not None and exact.shape != value.shape:
            _refuse_strangers(name, [f"{suffix} of shape {exact.shape} for {value.shape}"])
        yield TensorRecord(
            name + suffix,
            value,
            kind=_kind(name),
            precision=own,
            tolerance=wanted,
            reference=exact,
            digest=key,
        )


def _refuse_strangers(name: str, strangers: Sequence[str]) -> None:
    if strangers:
        raise CaptureError(
            f"check({name!r}): the reference is of another form: {name}{strangers[0]}",
            "Pass the same tensor, or nest of tensors, in higher precision.",
        )


def _kind(name: str) -> Kind:
    return "logits" if "logits" in name.lower() else "tensor"
