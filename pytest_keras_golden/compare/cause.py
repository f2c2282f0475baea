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
from ..tolerance import DEFAULT_K, EPSILON
from .floats import epsilon
from .scale import root_mean_square
from .threeway import three_way

if TYPE_CHECKING:
    from ..records import Array

MEANING = 2.0 * EPSILON["float32"]
"""Of twins in float64, relative to |golden| + rms: two roundings of float32, seven orders above
those of float64; a constant that was rounded to float32 once stays below."""

MEANING_FLOAT32 = DEFAULT_K["float32"] * EPSILON["float32"]
"""Of twins that are computed in float32 in parts: what a layer of float32 may."""

WORSE, BETTER = 2.0, 1 / 1.5
"""Changes of the error against the twin from which they are of precision handling. Two halves of a
sum that are rounded apart have 1.5 times the error of one in bfloat16, so what is worse begins
above, at FlashAttention's factor."""


def cause_of(
    run: Array, golden: Array, twin: Array, golden_twin: Array, precision: str
) -> tuple[Cause, Twin]:
    """The cause, and the figures behind it.

    run, golden: what the layer gave in its own precision, at the elements of the twins; all of one
    shape. precision: the layer's own.
    """
    coarser = max(str(twin.dtype), str(golden_twin.dtype), key=lambda name: EPSILON[name])
    distance = _distance(twin, golden_twin)
    limit = MEANING if coarser == "float64" else MEANING_FLOAT32
    compared = three_way(run, golden, golden_twin, precision)
    figures = Twin(
        precision=coarser,
        k=distance / EPSILON["float32"],
        ratio=compared.ratio,
        accuracy=compared.accuracy,
    )
    if not distance <= limit:
        return "meaning", figures
    least = epsilon(precision) / 16
    told = max(compared.error, compared.baseline_error) > least
    if told and not BETTER <= compared.ratio <= WORSE:
        return "precision", figures
    return "rounding", figures


def _distance(twin: Array, golden: Array) -> float:
    """Largest |twin − golden| / (|golden| + rms); infinite where only one of the two is finite."""
    a, g = (array.astype(np.float64).reshape(-1) for array in (twin, golden))
    scale = root_mean_square(g)
    finite = np.isfinite(a) & np.isfinite(g)
    with np.errstate(all="ignore"):
        same = (a == g) | (np.isnan(a) & np.isnan(g))
        if not (finite | same).all():
            return float("inf")
        away = np.where(finite & ~same, np.abs(a - g) / (np.abs(g) + scale), 0.0)
    return float(away.max(initial=0.0))
