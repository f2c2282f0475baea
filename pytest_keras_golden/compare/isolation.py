"""One layer alone: its own outputs on golden inputs against the golden's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .. import tolerance as tolerances
from ..outcomes import LocalOutcome
from ..records import SEVERITY
from .evidence import elementwise, note_of
from .metrics import measure
from .verdict import form

if TYPE_CHECKING:
    from ..records import Array


def judge_local(
    name: str,
    order: int,
    actual: Sequence[Array],
    golden: Sequence[Array],
    precision: str = "",
    *,
    systematic: str = "fail",
) -> LocalOutcome:
    """Judge one layer by the default tolerance of a single layer and the test of bias.

    Whatever the test tolerates is beside the point: blame is no matter of configuration. The worst
    output decides, of equally bad ones that with the larger k. precision "" is each output's own.
    """
    base = LocalOutcome(name, order, "identical", precision, k=0.0, rel_l2=0.0)
    if len(actual) != len(golden):
        note = f"{len(actual)} outputs, golden has {len(golden)}"
        return replace(base, verdict="structure", k=None, rel_l2=None, note=note)
    outcomes = [
        _judge(base, a, g, precision, systematic) for a, g in zip(actual, golden, strict=True)
    ]
    return max(outcomes, key=badness, default=base)


def worse(one: LocalOutcome, other: LocalOutcome) -> LocalOutcome:
    """The more severe of two, of equally severe ones that with the larger k."""
    return max((one, other), key=badness)


def badness(outcome: LocalOutcome) -> tuple[int, float]:
    """For ordering: severity, then k."""
    return SEVERITY.index(outcome.verdict), outcome.k or 0.0


def _judge(
    base: LocalOutcome, actual: Array, golden: Array, precision: str, systematic: str
) -> LocalOutcome:
    if actual.shape != golden.shape or actual.dtype != golden.dtype:
        wanted = form(golden.dtype.name, golden.shape)
        note = f"{form(actual.dtype.name, actual.shape)}, golden has {wanted}"
        return replace(base, verdict="structure", k=None, rel_l2=None, note=note)
    precision = _precision(golden, precision)
    if _same_bits(actual, golden):
        return replace(base, precision=precision, bias=0.0, bias_t=0.0)
    metrics = measure(actual, golden, tolerances.default(precision), precision)
    verdict = elementwise(metrics, systematic)
    return replace(
        base,
        verdict=verdict,
        precision=precision,
        k=metrics.k,
        rel_l2=metrics.rel_l2,
        bias=None if metrics.bias is None else metrics.bias.slope,
        bias_t=None if metrics.bias is None else metrics.bias.slope_t,
        note=note_of(verdict, metrics, precision),
    )


def _precision(golden: Array, precision: str) -> str:
    """A layer's precision is that of its floating-point outputs; indices stay exact."""
    exact = golden.dtype.name in tolerances.EXACT_DTYPES
    return golden.dtype.name if exact or not precision else precision


def _same_bits(actual: Array, golden: Array) -> bool:
    a, g = (np.asarray(array, order="C").reshape(-1).view(np.uint8) for array in (actual, golden))
    return bool(np.array_equal(a, g))
