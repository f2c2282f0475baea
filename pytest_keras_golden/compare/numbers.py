"""Numbers that do not say how precise they are: Python floats, and float32 in float64's clothes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, did_you_mean
from ..tolerance import EPSILON

if TYPE_CHECKING:
    from ..records import Array, TensorRecord

PYTHON_FLOAT = "python float"
"""Stands for the precision of a Python float until it is known what it was computed in."""

CHUNK = 1 << 16
"""Elements that are looked at, at a time, for one that is a number."""

SHORT_BITS = 11
"""Of a significand: numbers no longer than this are written by people, and of any precision."""


def known_precision(name: str | None) -> str | None:
    """Raises ConfigError for what is no precision."""
    if name is None or name in EPSILON:
        return name
    known = ", ".join(EPSILON)
    raise ConfigError(
        f"precision {name!r} is none", f"{did_you_mean(name, EPSILON)}Known: {known}."
    )


@dataclass(frozen=True, slots=True)
class Precisions:
    """What a checked tensor counts as. asked: by the test. policy: of the captured model."""

    asked: str | None
    policy: str | None

    def of(self, record: TensorRecord) -> TensorRecord:
        if record.value.dtype.kind in "biu":
            return replace(record, precision="")
        if self.asked is not None:
            return replace(record, precision=self.asked)
        if record.precision == PYTHON_FLOAT:
            return replace(record, precision=self._of_model())
        return replace(record, precision="float32") if is_float32(record.value) else record

    def _of_model(self) -> str:
        computes = (self.policy or "float32").removeprefix("mixed_")
        return computes if computes in EPSILON else "float32"


def is_float32(value: Array) -> bool:
    """Whether a float64 array holds numbers that were float32 before.

    One number in 2**29 of another origin is a float32 by chance. Short ones tell nothing, so an
    array of nothing else is taken as it is.
    """
    if value.dtype != np.float64 or value.size == 0:
        return False
    finite = value[np.isfinite(value)]
    with np.errstate(over="ignore"):
        if finite.size == 0 or not bool((finite == finite.astype(np.float32)).all()):
            return False
    significand, _ = np.frexp(finite)
    scaled = significand * 2.0**SHORT_BITS
    return bool((scaled != np.rint(scaled)).any())


def says_something(value: Array) -> bool:
    """Whether a tensor has an element, and one that is a number."""
    if value.size == 0 or value.dtype.kind in "biu":
        return value.size > 0
    flat = value.reshape(-1)
    chunks = (flat[at : at + CHUNK].astype(np.float64) for at in range(0, flat.size, CHUNK))
    return not all(np.isnan(chunk).all() for chunk in chunks)
