"""Why a layer gives other numbers: it means something else, is computed otherwise, or rounds.

Decided by twins, what the layer makes of the same inputs in higher precision. Where the twins of
two releases differ beyond the rounding of that precision, the layer means something else, whatever
the numbers of the model's own precision say. Where they agree, each release's numbers are held
against the twin: the rule of FlashAttention's tests (see `threeway`) tells a change of precision
handling from another order of summation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..outcomes import Cause, Twin
from ..tolerance import DEFAULT_K, EPSILON, LOW_PRECISION_K, default
from .floats import epsilon
from .metrics import measure
from .scale import root_mean_square
from .threeway import ThreeWay, three_way

if TYPE_CHECKING:
    from ..records import Array

MEANING: dict[str, float] = {
    "float64": DEFAULT_K["float32"] * EPSILON["float32"],
    "float32": DEFAULT_K["float32"] * EPSILON["float32"],
    "float16": LOW_PRECISION_K * EPSILON["float16"],
    "bfloat16": LOW_PRECISION_K * EPSILON["bfloat16"],
    **{name: DEFAULT_K[name] * EPSILON[name] for name in ("float8_e4m3fn", "float8_e5m2")},
}
"""Distance of twins, relative to |golden| + rms, from which they mean something else, by the
coarser of the precisions that they were computed in: what a single layer of that precision may
(docs/tolerances.md). Of float64 what one of float32 may: a backend may compute in float32 where
nobody sees it, as jax does the softmax inside of its attention."""

SYSTEMATIC = 2.0 * EPSILON["float32"]
"""Distance from which twins of float32 and float64 mean something else where their difference has
a direction: rounding has none (see `bias`). A constant that was rounded to float32 stays below."""

WORSE, WORSE_BY_CAST, BETTER = 3.0, 2.0, 1 / 1.5
"""Changes of the error against the twin from which they are of precision handling. Attention that
is divided by its sum after the values, and so rounded once more, reaches 2.2 in float16, as does a
softmax in bfloat16: where no cast to a lower precision tells the two apart, what is worse begins
above; where one does, at FlashAttention's factor (see `threeway`)."""


def cause_of(
    run: Array, golden: Array, twin: Array, golden_twin: Array, precision: str
) -> tuple[Cause | None, Twin]:
    """The cause, and the figures behind it; None where twins cannot tell more than the layer's own
    numbers: they are of no higher precision, or one is not finite where its layer is.

    run, golden: what the layer gave in its own precision, at the elements of the twins; all of one
    shape. twin, golden_twin: of the precision that they were computed in. precision: the layer's.
    """
    dtypes = [array.dtype.name for array in (twin, golden_twin)]
    coarser = max(dtypes, key=lambda name: EPSILON[name])
    finer = twin if EPSILON[dtypes[0]] < EPSILON[dtypes[1]] else golden_twin
    compared = three_way(run, golden, finer, precision)
    lowered = EPSILON[dtypes[0]] > EPSILON[dtypes[1]] and EPSILON[dtypes[0]] >= EPSILON[precision]
    accuracy = _accuracy(compared, precision, WORSE_BY_CAST if lowered else WORSE)
    apart = distance(twin, golden_twin)
    figures = Twin(coarser, apart / EPSILON["float32"], compared.ratio, accuracy)
    if _is_endless(run, golden, twin, golden_twin):
        return None, figures
    if not apart <= MEANING[coarser] or _directed(twin, golden_twin, apart, coarser):
        return "meaning", figures
    if dtypes[0] != dtypes[1]:
        return "precision", figures
    if EPSILON[coarser] >= EPSILON[precision]:
        return None, figures
    return "rounding" if accuracy == "equal" else "precision", figures


def errs_alike(run: Array, golden: Array, twin: Array, precision: str) -> bool:
    """Whether all that two releases make of a layer is about as far from one twin, on average and
    at worst. Of an element that one of them changed by more than others round, the twin would be
    near to that one's number and far from the other's."""
    compared = three_way(run, golden, twin, precision)
    return all(1 / WORSE <= r <= WORSE for r in (compared.ratio, compared.worst_ratio))


def _is_endless(run: Array, golden: Array, twin: Array, golden_twin: Array) -> bool:
    """Whether one twin alone is NaN or infinite where its layer's own numbers are not. What float32
    can hold float64 can: something in between was cast down after all, as the largest number of
    float64, which masks, is infinite in the float32 that jax softens attention in (to 0.8.1)."""
    own = [np.isfinite(array.astype(np.float64)) for array in (run, golden)]
    made = [np.isfinite(array.astype(np.float64)) for array in (twin, golden_twin)]
    return bool((own[0] & ~made[0] & made[1] | own[1] & ~made[1] & made[0]).any())


def _directed(twin: Array, golden: Array, apart: float, coarser: str) -> bool:
    if apart <= SYSTEMATIC or coarser not in ("float32", "float64"):
        return False
    a, g = (array.astype(np.float64).reshape(-1) for array in (twin, golden))
    bias = measure(a, g, default("float32"), "float32").bias
    return bias is not None and bias.systematic


def _accuracy(compared: ThreeWay, precision: str, worse: float) -> str:
    if max(compared.error, compared.baseline_error) <= epsilon(precision) / 16:
        # Exact but for the last bits: a quotient of two such errors says nothing.
        return "equal"
    # Within ε of the truth is what two roundings leave; a sum in another order may be as far off,
    # and a cast that was not there is 2^12 times further. In low precision that is the cast.
    rounds = EPSILON[precision] <= EPSILON["float32"] and compared.error <= epsilon(precision)
    if compared.ratio > worse and not rounds:
        return "worse"
    return "better" if compared.ratio < BETTER else "equal"


def distance(run: Array, golden: Array) -> float:
    """Largest |run − golden| / (|golden| + rms); infinite where only one of the two is finite."""
    a, g = (array.astype(np.float64).reshape(-1) for array in (run, golden))
    scale = root_mean_square(g)
    finite = np.isfinite(a) & np.isfinite(g)
    with np.errstate(all="ignore"):
        same = (a == g) | (np.isnan(a) & np.isnan(g))
        if not (finite | same).all():
            return float("inf")
        away = np.where(finite & ~same, np.abs(a - g) / (np.abs(g) + scale), 0.0)
    return float(away.max(initial=0.0))
