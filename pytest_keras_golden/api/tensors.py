"""Tensors by name, with what produced them: read from a golden, captured, or given by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, ConfigError, a_kind
from ..io.strict import shown as quoted
from ..records import GoldenHeader, Mode, Sample, TensorRecord
from ..report.escape import visible

if TYPE_CHECKING:
    from ..records import Array

SINGLE = "tensor"
"""The name of a tensor that was given without one."""


class Tensors(Mapping[str, "Array"]):
    """Name → numpy array, in the order of execution.

    path: the golden file, or what the tensors are called in a comparison. header: what a golden's
    metadata say about them. Arrays have the dtype they were computed in, bfloat16 and float8
    through ml_dtypes, and belong to this object.
    """

    def __init__(
        self,
        path: Path | str,
        header: GoldenHeader,
        arrays: Mapping[str, Array],
        references: Mapping[str, Array] | None = None,
        sums: Mapping[str, Array] | None = None,
    ) -> None:
        self.path = path
        self.header = header
        self._arrays = arrays
        self._references = references or {}
        self._sums = sums or {}

    def complete(self, other: Tensors) -> None:
        """Become what `other` is: of calls that were watched, once they have ended."""
        self.header, self._arrays = other.header, other._arrays
        self._references, self._sums = other._references, other._sums

    @property
    def stack(self) -> Mapping[str, Any]:
        """What produced the numbers: Keras, backend and its version, device, dtype policy, …"""
        return self.header.stack

    @property
    def reason(self) -> str | None:
        """Why the golden was updated last, where whoever did it said so."""
        return self.header.reason

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Name → dtype."""
        return {entry.name: entry.dtype for entry in self.header.tensors}

    @property
    def precisions(self) -> Mapping[str, str]:
        """Name → the coarsest arithmetic behind a tensor, in whose ε it is judged."""
        return {entry.name: entry.arithmetic for entry in self.header.tensors}

    def array(self, name: str) -> Array:
        """As indexing."""
        return self._arrays[name]

    def reference(self, name: str) -> Array | None:
        """The same tensor in higher precision, where one was recorded."""
        return self._references.get(name)

    @property
    def samples(self) -> Mapping[str, Sample]:
        """Name → which elements there are, of large tensors that the golden has a sample of."""
        return {entry.name: entry.sample for entry in self.header.tensors if entry.sample}

    def sums(self, name: str) -> Array | None:
        """Of a sample, sums over all elements of the tensor, each with a sign of its own."""
        return self._sums.get(name)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        from .tables import as_text

        return as_text(self.path, self.header)

    def _repr_html_(self) -> str:
        from .tables import as_html

        return as_html(self.path, self.header)


def load(path: Path | str) -> Tensors:
    """Every tensor of a golden file. Nothing in it is executed, and each array is checked against
    its digest.

    Raises StoreError for a file that is missing, damaged or no golden, ConfigError for no path.
    """
    __tracebackhide__ = True
    from ..store.codec import Golden
    from ..store.contents import REFERENCE, SUMS

    if not isinstance(path, (str, Path)):
        raise ConfigError(
            f"load() got {a_kind(path)}: {quoted(path)}",
            "Pass the path of a golden, a str or a Path.",
        )
    with Golden.open(path) as golden:
        arrays = {name: array.copy() for name, array in golden.arrays().items()}
        header = golden.header
    ordered = sorted(header.tensors, key=lambda entry: entry.order)
    references = {entry.name: arrays.get(REFERENCE + entry.name) for entry in ordered}
    return Tensors(
        Path(path),
        header,
        {entry.name: arrays[entry.name] for entry in ordered},
        {name: array for name, array in references.items() if array is not None},
        {entry.name: arrays[SUMS + entry.name] for entry in ordered if entry.sample},
    )


def described(
    records: Iterable[TensorRecord], path: str, stack: Mapping[str, Any], mode: Mode = "eager"
) -> Tensors:
    """Records as tensors that compare as a golden's would."""
    from ..case.recording import describe
    from ..tolerance import resolve

    held = list(records)
    entries = [
        describe(record, order, resolve(record.name, record.arithmetic, argument=record.tolerance))
        for order, record in enumerate(held)
    ]
    header = GoldenHeader(stack=stack, mode=mode, tensors=tuple(entries))
    references = {r.name: r.reference for r in held if r.reference is not None}
    return Tensors(path, header, {record.name: record.value for record in held}, references)


def tensors_of(value: Any, path: str) -> Tensors:
    """Whatever a user has: `Tensors`, the path of a golden, a mapping of nests, a nest, an array.

    Raises CaptureError for what holds no tensor, StoreError for a path that is no golden.
    """
    if isinstance(value, Tensors):
        return value
    if isinstance(value, (str, Path)):
        return load(value)
    return described(by_hand(value), visible(path), {})


def by_hand(value: Any) -> Iterator[TensorRecord]:
    """A record a tensor; a mapping names them, what has no name is `tensor`."""
    from ..case.checked import records
    from ..compare.numbers import Precisions

    named = value if isinstance(value, Mapping) else {SINGLE: value}
    if not named:
        raise CaptureError("got an empty mapping", "Pass at least one tensor.")
    precisions = Precisions(None, None)
    for name, nest in named.items():
        yield from map(precisions.of, records(str(name), nest))
