"""How much moved: as a share of the tensor, and of what its tolerance allows."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..outcomes import QUIET, LocalOutcome, TensorOutcome, TestOutcome
from ..tolerance import default
from .summary import blamed, strain
from .wording import number, tolerance


def percent(value: float | None) -> str:
    """`0.41 %` of a relative L2 of 0.0041; `-` where nothing was measured."""
    return "-" if value is None else f"{number(100 * value)} %"


def moved_most(outcome: TestOutcome) -> TensorOutcome | None:
    """The judged tensor that uses most of its tolerance, of those beyond it where there are any."""
    judged = [tensor for tensor in outcome.tensors if tensor.judged]
    loud = [tensor for tensor in judged if tensor.verdict not in QUIET]
    return max(loud or judged, key=weight, default=None)


UNSIZED = {"nonfinite": "NaN or Inf in other places", "structure": "another dtype or shape"}
"""Verdicts that no size belongs to: whatever elements are left to be measured says nothing."""


def weight(tensor: TensorOutcome) -> tuple[float, float]:
    """Of two tensors the one that moved more has more."""
    if tensor.verdict in UNSIZED:
        return math.inf, math.inf
    return _finite(strain(tensor)), _finite(tensor.rel_l2)


def _finite(value: float | None) -> float:
    """NaN compares with nothing, and is more than any number."""
    return 0.0 if value is None else math.inf if math.isnan(value) else value


def size(tensor: TensorOutcome) -> str:
    """`0.41 %, 4.2× its limit (k 21 of 5)`: relative L2, then the largest element; in words where
    there is no size."""
    if tensor.verdict in UNSIZED:
        return tensor.note or UNSIZED[tensor.verdict]
    parts = [percent(tensor.rel_l2)] if tensor.rel_l2 is not None else []
    used = strain(tensor)
    if tensor.k is not None and tensor.tolerance is not None and tensor.tolerance.k:
        parts.append(f"{number(used)}× its limit (k {number(tensor.k)} of {_limit(tensor)})")
    elif tensor.max_abs is not None:
        parts.append(f"max |Δ| {number(tensor.max_abs)}, limit {tolerance(tensor.tolerance)}")
    return ", ".join(parts)


def _limit(tensor: TensorOutcome) -> str:
    return number(tensor.tolerance.k if tensor.tolerance else None)


def own_strain(layer: LocalOutcome) -> float:
    """How much of the tolerance of its precision a layer's own change uses; 0 where unknown."""
    if layer.verdict in UNSIZED:
        return math.inf
    allowed = default(layer.precision).k if layer.precision else None
    return layer.k / allowed if layer.k is not None and allowed else 0.0


def own_size(layer: LocalOutcome) -> str:
    """`0.39 %, 6.8× its limit, precision`: what a layer changes on the golden's inputs, and why."""
    if layer.verdict in UNSIZED:
        return UNSIZED[layer.verdict]
    parts = [percent(layer.rel_l2)] if layer.rel_l2 is not None else []
    parts += [f"{number(own_strain(layer))}× its limit"] if own_strain(layer) else []
    return ", ".join([*parts, *([layer.cause] if layer.cause else [])])


def own_most(outcome: TestOutcome) -> LocalOutcome | None:
    """The layer to blame that changed most by itself."""
    return max(blamed(outcome), key=lambda layer: _finite(own_strain(layer)), default=None)


def most(outcomes: Iterable[TestOutcome]) -> str:
    """`up to 0.41 %, 4.2× the limit` over tests; of layers by themselves where no tensor is beyond
    its tolerance. Empty where nothing has a size."""
    every = list(outcomes)
    found = [t for t in map(moved_most, every) if t is not None]
    tensors = [t for t in found if t.verdict in UNSIZED or _is_loud(t)]
    if tensors:
        worst = max(tensors, key=weight)
        if worst.verdict in UNSIZED:
            return UNSIZED[worst.verdict]
        used = strain(worst)
        limit = f", {number(used)}× the limit" if used else ""
        return f"up to {percent(worst.rel_l2)}{limit}"
    layers = [x for x in map(own_most, every) if x is not None and own_size(x)]
    if not layers:
        return ""
    layer = max(layers, key=lambda x: _finite(own_strain(x)))
    if layer.verdict in UNSIZED:
        return f"layers by themselves: {UNSIZED[layer.verdict]}"
    used = own_strain(layer)
    limit = f", {number(used)}× the limit" if used else ""
    return f"layers by themselves, up to {percent(layer.rel_l2)}{limit}"


def _is_loud(tensor: TensorOutcome) -> bool:
    return tensor.verdict not in QUIET and tensor.rel_l2 is not None
