"""One tensor measured against another: every metric of an outcome from one chunked pass.

Chunks of 32k elements stay in the cache and no temporary grows with the tensor, so that goldens
larger than memory can be compared through a memory map. The arithmetic: `chunks`, `exact`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import floats
from .bias import Bias, sample_bias
from .chunks import Pass
from .exact import measure_exact
from .limits import Limits

if TYPE_CHECKING:
    from ..records import Array, Tolerance

CHUNK = 1 << 15


@dataclass(frozen=True, slots=True)
class Metrics:
    """`actual` against `golden`; e = actual − golden.

    mismatches: elements with |e| > atol + rtol·|golden|. max_abs is at `index`. max_rel: max
    |e|/|golden|, inf where a zero changed. k: max |e|/(ε·(|golden| + scale)). rel_l2: ‖e‖/‖golden‖.
    max_ulp: steps of the precision between two values, rounded up. scale: the robust rms. bias:
    see `bias.Bias`. nonfinite_changed: elements that are NaN, inf or -inf on one side and not so
    on the other, the first at nonfinite_index; all else leaves non-finite elements out.
    """

    size: int
    mismatches: int
    max_abs: float
    max_rel: float
    index: tuple[int, ...] | None
    k: float
    rel_l2: float
    cosine: float
    max_ulp: int
    scale: float
    bias: Bias | None = None
    nonfinite_changed: int = 0
    nonfinite_index: tuple[int, ...] | None = None


def measure(
    actual: Array,
    golden: Array,
    tolerance: Tolerance,
    precision: str = "",
    *,
    noise: float | None = None,
    chunk: int = CHUNK,
) -> Metrics:
    """Measure two tensors of one shape and dtype.

    precision: whose ε counts; "" is the dtype's own. noise: the floor in units of k below which
    nothing is a mismatch. Arrays that are not in C order are copied once. Raises ValueError where
    shape or dtype differ.
    """
    if actual.shape != golden.shape or actual.dtype != golden.dtype:
        raise ValueError(
            f"cannot measure {actual.dtype}{actual.shape} against {golden.dtype}{golden.shape}"
        )
    actual, golden = np.asarray(actual, order="C"), np.asarray(golden, order="C")
    epsilon = floats.epsilon(precision or golden.dtype.name)
    with np.errstate(all="ignore"):
        if floats.is_exact(golden.dtype):
            return _exactly(actual, golden, tolerance, chunk)
        found = Pass(actual, golden, Limits(tolerance, epsilon, noise), chunk).run()
        bias = sample_bias(actual, golden, found.scale.rms, epsilon)
        shift = floats.ulp_shift(golden.dtype, precision)
    return Metrics(
        size=golden.size,
        mismatches=found.mismatches,
        max_abs=found.error(found.abs.at),
        max_rel=found.relative_error(found.rel.at),
        index=_index(found.abs.at, golden.shape),
        k=found.relative_error(found.units.at, found.scales.at(found.units.at)) / (epsilon or 1.0),
        rel_l2=found.sums.rel_l2(),
        cosine=found.sums.cosine(),
        max_ulp=-(-found.steps >> shift),
        scale=found.scale.rms,
        bias=bias,
        nonfinite_changed=found.changed,
        nonfinite_index=_index(found.changed_at, golden.shape),
    )


def _exactly(actual: Array, golden: Array, tolerance: Tolerance, chunk: int) -> Metrics:
    found = measure_exact(actual, golden, tolerance, chunk)
    return Metrics(
        size=golden.size,
        mismatches=found.mismatches,
        max_abs=float(found.largest),
        max_rel=found.max_rel,
        index=_index(found.at, golden.shape),
        k=math.inf if found.largest else 0.0,
        rel_l2=found.sums.rel_l2(),
        cosine=found.sums.cosine(),
        max_ulp=found.largest,
        scale=found.sums.rms(golden.size),
    )


def _index(at: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if at < 0:
        return None
    return tuple(int(part) for part in np.unravel_index(at, shape))
