"""Whether rounding earlier in a training explains what moved later in it.

A training carries roundings on, and an optimizer that divides by the size of a gradient makes much
of them in elements whose gradient is next to nothing. So behind a tensor that moved by rounding, an
element may be beyond its tolerance while the tensor as a whole is not: relative L2 then decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from ..outcomes import QUIET, TensorOutcome
from .floats import epsilon

ORDER = (
    *("data", "random", "given", "alone", "optimizer", "loss", "gradients", "applied"),
    *("learning_rate", "slots", "updates", "metrics"),
)
"""Parts of a step, each computed from those before it."""

BEHIND_LAYERS = 1 << 20
"""Order of a component of a step among the layers that are to blame."""

FACTOR = 4.0
"""Relative L2, in units of the tolerance's k·ε, that inherited rounding may reach. Between Keras
3.9.2 and 3.13.2 (torch, a small transformer, Adam, float32) it reached 1.2, in the update of a step
whose gradients moved by at most 0.3; a rate that is one per cent larger is at 1,000."""

_STEP = re.compile(r"(?:.*/)?((?:test_)?step_\d+/[a-z_]+)(?:/.*)?|(?:.*/)?(curve|weights)/.*", re.S)


def part_of(name: str) -> str | None:
    """`step_000/gradients` of a tensor of training; None of any other, a decoding step's too."""
    match = _STEP.fullmatch(name)
    part = (match[1] or match[2]) if match else None
    known = part is not None and part.rpartition("/")[2] in (*ORDER, "curve", "weights")
    return part if known else None


def inherited(tensors: Iterable[TensorOutcome]) -> frozenset[str]:
    """Names of tensors, given in order of time, that are beyond their tolerance by no more than
    the rounding of what they were computed from."""
    steps = [tensor for tensor in tensors if part_of(tensor.name) is not None]
    excused: set[str] = set()
    moved = False
    for _, group in groupby(steps, lambda tensor: part_of(tensor.name)):
        judged = [tensor for tensor in group if tensor.judged]
        quiet = {*QUIET, "accumulated"}
        loud = [tensor for tensor in judged if tensor.verdict not in quiet]
        if not all(moved and _is_small(tensor) for tensor in loud):
            break
        excused |= {tensor.name for tensor in loud}
        moved = moved or any(tensor.verdict != "identical" for tensor in judged)
    return frozenset(excused)


def _is_small(tensor: TensorOutcome) -> bool:
    limit = tensor.tolerance.k if tensor.tolerance is not None else None
    if tensor.verdict not in ("drift", "systematic") or limit is None or tensor.rel_l2 is None:
        return False
    return tensor.rel_l2 <= FACTOR * limit * epsilon(tensor.precision)
