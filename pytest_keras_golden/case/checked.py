"""Tensors that were handed over by hand, in any nest, as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..compare.numbers import PYTHON_FLOAT
from ..compare.sampling import thinned
from ..compare.sketch import sketched
from ..errors import CaptureError
from ..records import Kind, TensorRecord
from ..tolerance import parse

if TYPE_CHECKING:
    from ..records import Array, TensorEntry
    from ..store.codec import Golden

Known = Callable[[str, "Array"], "TensorRecord | None"]
"""Name and memory of a tensor → what a record of it needs; None where all of it is to be copied."""


def records(
    name: str,
    tensor: Any,
    tolerance: Any = None,
    reference: Any = None,
    known: Known = lambda name, array: None,
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
        raise CaptureError(f"{name!r}: an empty nest, or None", "Pass at least one tensor.")
    references = dict(flatten(reference)) if reference is not None else {}
    _refuse_strangers(name, [suffix for suffix in references if suffix not in dict(leaves)])
    for suffix, leaf in leaves:
        seen = view(leaf)
        record = known(name + suffix, seen) or TensorRecord(name + suffix, owned(seen))
        own = PYTHON_FLOAT if type(leaf) is float else ""
        exact = to_numpy(references[suffix]) if suffix in references else None
        if exact is not None and exact.shape != record.shape:
            _refuse_strangers(name, [f"{suffix} of shape {exact.shape} for {record.shape}"])
        if exact is not None and record.sample is not None:
            exact = thinned(exact, record.sample.steps)
        yield replace(record, kind=_kind(name), precision=own, tolerance=wanted, reference=exact)


def beside(golden: Golden, name: str, array: Array) -> TensorRecord:
    """A record of a tensor in foreign memory, copied no further than the golden's of that name
    demands. The golden's own bytes are neither read nor checked yet."""
    from ..capture.backends.numpy import owned
    from ..store.digest import digest

    key, entry = digest(array), golden.header.entry(name)
    sums, sample = golden.sums(name), None if entry is None else entry.sample
    if entry is None or sample is None or sums is None or not _is_alike(array, entry):
        held = golden.held(name, key)
        return TensorRecord(name, owned(array) if held is None else held, digest=key)
    if key == entry.digest:
        held = golden.held(name, sample.digest)
        assert held is not None
        return TensorRecord(name, held, digest=key, sample=sample, sums=sums)
    kept, sums = thinned(array, sample.steps), sketched(array, sums.size)
    sample = replace(sample, digest=digest(kept), sums=digest(sums))
    return TensorRecord(name, kept, digest=key, sample=sample, sums=sums)


def _is_alike(array: Array, entry: TensorEntry) -> bool:
    return array.shape == tuple(entry.shape) and array.dtype.name == entry.dtype


def _refuse_strangers(name: str, strangers: Sequence[str]) -> None:
    if strangers:
        raise CaptureError(
            f"check({name!r}): the reference is of another form: {name}{strangers[0]}",
            "Pass the same tensor, or nest of tensors, in higher precision.",
        )


def _kind(name: str) -> Kind:
    return "logits" if "logits" in name.lower() else "tensor"
