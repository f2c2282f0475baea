"""Whether a check can fail at all: judged when a golden is recorded.

A tolerance under which zeros, the negated or a shuffled tensor would pass proves nothing. A
perturbation that leaves the golden as it is (zeros of a zero tensor, a shuffled constant) is no
evidence either way and is skipped. Zeros pass whenever the negated tensor passes (|g| ≤ 2|g|), so
only zeros and shuffles need trying.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import floats
from .limits import Limits
from .scale import ChunkScale, Scale, robust_scale

if TYPE_CHECKING:
    from ..records import Array, Tolerance

    _Vector = npt.NDArray[np.float64]

CHUNK = 1 << 16
MOST_SENSITIVE = 64
"""Elements that `detects` is verified on: those with the tightest bounds relative to the value. In
a large tensor another may be caught a little earlier by the luck of its rounding, by half an ULP
at most."""


def vacuous(
    value: Array, tolerance: Tolerance, precision: str = "", noise: float | None = None
) -> str | None:
    """Why the check of `value` could not fail, or None where it can.

    Judged on the tolerance or the noise floor (in units of k), whichever is larger.
    """
    with np.errstate(all="ignore"):
        bounds = _Bounds(value, tolerance, precision, noise)
        if bounds.empty:
            return None
        if bounds.zeros_pass():
            return "zeros and the negated tensor would pass: the tolerance exceeds every value"
        if bounds.shuffled_passes():
            return "a shuffled tensor would pass: the tolerance exceeds the spread of the values"
        return None


def detects(
    value: Array, tolerance: Tolerance, precision: str = "", noise: float | None = None
) -> float | None:
    """The smallest relative drift r (value·(1 + r) in the value's dtype) that breaks the
    tolerance, within 1 %; found by injecting it. None where no drift is relative (zeros)."""
    with np.errstate(all="ignore"):
        bounds = _Bounds(value, tolerance, precision, noise)
        if bounds.empty:
            return None
        values, limits = bounds.most_sensitive()
        return None if values.size == 0 else _bisect(values, limits, value.dtype)


SMALLEST_DRIFT = 2.0**-64
"""Below it no format moves at all."""


class _Bounds:
    """|e| allowed per element, chunk by chunk; non-finite values are left out."""

    def __init__(
        self, value: Array, tolerance: Tolerance, precision: str, noise: float | None
    ) -> None:
        epsilon = floats.epsilon(precision or value.dtype.name)
        exact = floats.is_exact(value.dtype)
        scale = Scale(0.0) if exact else robust_scale(value)
        self.value, self.empty = value, value.size == 0
        self.limits = Limits(tolerance, epsilon, noise)
        self.wide: npt.NDArray[Any] | None = (
            None if exact else np.empty(CHUNK, floats.working_dtype(value.dtype))
        )
        self.scale, self.one_scale = ChunkScale(scale, CHUNK), scale.channels is None

    def chunks(self) -> Iterator[tuple[_Vector, _Vector]]:
        return (self.chunk(start) for start in range(0, self.value.size, CHUNK))

    def chunk(self, start: int) -> tuple[_Vector, _Vector]:
        """Finite values and what each may be off by."""
        values = self.value.reshape(-1)[start : start + CHUNK].astype(np.float64)
        limits = self.limits.bound(np.abs(values), self.scale.chunk(start, values.size))
        finite = np.isfinite(values)
        return (values, limits) if finite.all() else (values[finite], limits[finite])

    def zeros_pass(self) -> bool:
        """False also for a zero tensor, which zeros leave unchanged."""
        changed = False
        for values, limits in self.chunks():
            magnitude = np.abs(values)
            if (magnitude > limits).any():
                return False
            changed = changed or bool(magnitude.any())
        return changed

    def shuffled_passes(self) -> bool:
        """Whether every permutation that changes the tensor stays within the limits."""
        if self._some_shuffle_is_caught():
            return False
        low, high = np.inf, -np.inf
        for values, _ in self.chunks():
            low = min(low, float(values.min(initial=np.inf)))
            high = max(high, float(values.max(initial=-np.inf)))
        if not low < high:
            return False
        # Some permutation puts either extreme in any place.
        return not any(
            (np.maximum(high - values, values - low) > limits).any()
            for values, limits in self.chunks()
        )

    def _some_shuffle_is_caught(self) -> bool:
        """The cheap test that settles nearly all: one chunk against itself in reverse."""
        values, limits = next(self.chunks())
        return bool((np.abs(values[::-1] - values) > limits).any())

    def most_sensitive(self) -> tuple[_Vector, _Vector]:
        """The elements whose bounds are tightest relative to the value, and their bounds."""
        values, limits, needed = np.empty(0), np.empty(0), 0.0
        for start in range(0, self.value.size, CHUNK):
            if self._largest(start) < needed:
                continue
            chunk, bound = self.chunk(start)
            telling = np.flatnonzero((chunk != 0) & (np.abs(chunk) >= needed))
            values = np.concatenate([values, chunk[telling]])
            limits = np.concatenate([limits, bound[telling]])
            if values.size > MOST_SENSITIVE:
                ratio = limits / np.abs(values)
                keep = np.argpartition(ratio, MOST_SENSITIVE)[:MOST_SENSITIVE]
                values, limits = values[keep], limits[keep]
                needed = float(np.abs(values).min()) if self.one_scale else 0.0
        return values, limits

    def _largest(self, start: int) -> float:
        """Of a chunk's magnitudes: under one scale, larger values have the tighter bounds."""
        if not self.one_scale or self.wide is None:
            return np.inf
        chunk = floats.widen(self.value.reshape(-1)[start : start + CHUNK], self.wide)
        # NaN where there is one, and so below nothing: such a chunk is looked at.
        return float(max(chunk.max(), -chunk.min()))


def _bisect(values: _Vector, limits: _Vector, dtype: np.dtype[np.generic]) -> float | None:
    def caught(drift: float) -> bool:
        moved = _rounded(values * (1.0 + drift), dtype)
        return bool((~(np.abs(moved - values) <= limits)).any())

    low = high = max(float((limits / np.abs(values)).min()), SMALLEST_DRIFT)
    while not caught(high):
        high *= 2.0
        if not np.isfinite(high):
            return None
    while caught(low) and low > SMALLEST_DRIFT:
        low /= 2.0
    while high > 1.005 * low:
        middle = low**0.5 * high**0.5
        low, high = (low, middle) if caught(middle) else (middle, high)
    return high


def _rounded(values: _Vector, dtype: np.dtype[np.generic]) -> _Vector:
    if floats.is_exact(dtype):
        return np.rint(values)
    return values.astype(dtype).astype(np.float64)
