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
        measured = Pass(actual, golden, Limits(tolerance, epsilon, noise), chunk).run()
        bias = sample_bias(actual, golden, measured.scale.rms, epsilon)
        shift = floats.ulp_shift(golden.dtype, precision)
    return Metrics(
        size=golden.size,
        mismatches=measured.mismatches,
        max_abs=measured.error(measured.abs.at),
        max_rel=measured.relative_error(measured.rel.at),
        index=_index(measured.abs.at, golden.shape),
        k=measured.relative_error(measured.units.at, measured.scales.at(measured.units.at))
        / (epsilon or 1.0),
        rel_l2=measured.sums.rel_l2(),
        cosine=measured.sums.cosine(),
        max_ulp=-(-measured.steps >> shift),
        scale=measured.scale.rms,
        bias=bias,
        nonfinite_changed=measured.changed,
        nonfinite_index=_index(measured.changed_at, golden.shape),
    )


def _exactly(actual: Array, golden: Array, tolerance: Tolerance, chunk: int) -> Metrics:
    measured = measure_exact(actual, golden, tolerance, chunk)
    return Metrics(
        size=golden.size,
        mismatches=measured.mismatches,
        max_abs=float(measured.largest),
        max_rel=measured.max_rel,
        index=_index(measured.at, golden.shape),
        k=math.inf if measured.largest else 0.0,
        rel_l2=measured.sums.rel_l2(),
        cosine=measured.sums.cosine(),
        max_ulp=measured.largest,
        scale=measured.sums.rms(golden.size),
    )


def _index(at: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if at < 0:
        return None
    return tuple(int(part) for part in np.unravel_index(at, shape))
