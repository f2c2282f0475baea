"""What a loaded model holds beside what its file does: weights, settings, vocabularies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..store.digest import digest

if TYPE_CHECKING:
    from ..records import Array

FaultKind = Literal[
    "swapped",
    "missing",
    "reset",
    "transposed",
    "cast",
    "other",
    "not in the file",
    "configuration",
    "vocabulary",
]


@dataclass(frozen=True, slots=True)
class LoadingFault:
    """name: of the weight or layer in the model; else its place in the file. said: what is so."""

    name: str
    kind: FaultKind
    said: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """One array of a file. name: of the weight that it belongs to, or its place in the file.

    held: what the loaded model has there; None where no weight was found.
    """

    place: str
    name: str
    stored: Array
    held: Array | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """placed: every array of the file. rest: weights of the model that none of them belongs to."""

    placed: Sequence[Placed]
    rest: Mapping[str, Array] = field(default_factory=dict)


def weight_faults(loaded: Loaded) -> Iterator[LoadingFault]:
    """Every weight that is not bit for bit its file's, in a word and a sentence."""
    stored = _Stored(loaded.placed)
    rest = {name: (value, digest(value)) for name, value in loaded.rest.items()}
    for entry in loaded.placed:
        if entry.held is not None:
            if not same(entry.stored, entry.held):
                kind, said = _why(entry.stored, entry.held, stored.name_of(entry.held, entry))
                yield _fault(entry, kind, said)
            continue
        # A release may keep it at another place.
        at = next((name for name, (_, key) in rest.items() if key == digest(entry.stored)), None)
        if at is not None:
            del rest[at]
        elif entry.stored.size:
            yield _fault(entry, "missing", "is in the file, and no weight of the model holds it")
    for name, (value, _) in rest.items():
        said = f"is not in the file: the model has {_sample(value)} of its own"
        yield LoadingFault(name, "not in the file", said, value.dtype.name, value.shape)


def _fault(entry: Placed, kind: FaultKind, said: str) -> LoadingFault:
    value = entry.stored
    return LoadingFault(entry.name, kind, said, value.dtype.name, value.shape)


class _Stored:
    """The arrays of a file by their digests, for whoever holds another's."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._names: dict[str, list[str]] = {}
        for entry in placed:
            self._names.setdefault(digest(entry.stored), []).append(entry.name)

    def name_of(self, value: Array, entry: Placed) -> str | None:
        """Whose it is, if anybody else's alone: zeros are everybody's."""
        names = [name for name in self._names.get(digest(value), ()) if name != entry.name]
        return names[0] if names and not _constant(value) else None


def same(stored: Array, held: Array) -> bool:
    """Bit for bit, or of another dtype that holds these numbers without loss."""
    import numpy as np

    if stored.shape != held.shape:
        return False
    if stored.dtype == held.dtype:
        return stored.tobytes() == held.tobytes()
    if stored.dtype.kind in "OSU" or held.dtype.kind in "OSU":
        return bool((stored.astype(str) == held.astype(str)).all())
    a, b = _wide(stored), _wide(held)
    return bool(np.array_equal(a, b, equal_nan=True))


def _why(stored: Array, held: Array, another: str | None) -> tuple[FaultKind, str]:
    if another is not None:
        return "swapped", f"holds what the file has for {another}"
    if stored.shape != held.shape:
        return "other", f"has shape {list(held.shape)}, in the file {list(stored.shape)}"
    import numpy as np

    a, b = _wide(stored), _wide(held)
    if stored.ndim > 1 and any(_equal(np.swapaxes(a, i, j), b) for i, j in _axes(stored)):
        return "transposed", "holds the file's numbers transposed"
    if _constant(held):
        return "reset", f"holds {_sample(held)}, in the file {_sample(stored)}"
    through = next((name for name in ("bfloat16", "float16") if _rounded(a, b, name)), None)
    if through is not None:
        return "cast", f"holds the file's numbers rounded to {through}"
    if stored.dtype != held.dtype:
        return "cast", f"is {held.dtype.name}, in the file {stored.dtype.name}"
    return "other", f"holds other numbers: {_sample(held)}, in the file {_sample(stored)}"


def _equal(a: Array, b: Array) -> bool:
    import numpy as np

    return a.shape == b.shape and bool(np.array_equal(a, b))


def _axes(value: Array) -> Iterator[tuple[int, int]]:
    yield from ((i, j) for j in range(value.ndim) for i in range(j))


def _rounded(a: Array, b: Array, through: str) -> bool:
    import ml_dtypes
    import numpy as np

    kind = getattr(ml_dtypes, through, through)
    with np.errstate(over="ignore"):
        return bool(np.array_equal(a.astype(kind).astype(np.float64), b))


def _wide(value: Array) -> Array:
    import numpy as np

    return value if value.dtype.kind == "c" else value.astype(np.float64)


def _constant(value: Array) -> bool:
    return value.size > 0 and bool((value == value.reshape(-1)[0]).all())


def _sample(value: Array) -> str:
    flat = value.reshape(-1)
    if flat.size == 0:
        return "nothing"
    if _constant(value) and flat.size > 1:
        return f"{float(flat[0]):.4g} throughout"
    shown = ", ".join(f"{float(item):.4g}" for item in flat[:2])
    return f"{shown}, …" if flat.size > 2 else shown
