"""Where something is in a whole tensor, of which a sample was compared."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from .logits import Flip, LogitsMetrics

if TYPE_CHECKING:
    from .metrics import Metrics
    from .sampling import Pair


def placed(metrics: Metrics, pair: Pair) -> Metrics:
    """With places in the whole tensor."""
    first = pair.at(metrics.nonfinite_index)
    return replace(metrics, index=pair.at(metrics.index), nonfinite_index=first)


def in_the_whole(logits: LogitsMetrics, pair: Pair) -> LogitsMetrics:
    """With the rows of flips where the whole tensor has them."""
    if pair.sums is None:
        return logits
    leading = pair.shape[:-1]
    single = math.prod(leading[:-1]) == 1

    def moved(flip: Flip) -> Flip:
        at = flip.position
        row = at if isinstance(at, tuple) else (*(0 for _ in leading[:-1]), at)
        place = pair.at(row) or row
        return replace(flip, position=place[-1] if single else place)

    return replace(logits, flips=tuple(map(moved, logits.flips)))
