"""Layers that one side of a comparison runs and the other does not, between two families of Keras.

Within a family such a layer shows in what its neighbours give; between Keras 2 and 3 whole parts
may be built otherwise, and what is compared by no layer of its own has to be said.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..release import KERAS_2

UNMATCHED = "without a counterpart"
NAMED = 3


def of_two_families(one: object, other: object) -> bool:
    """Whether of two versions as stacks have them one alone is of Keras 2."""
    return str(one).startswith(KERAS_2) != str(other).startswith(KERAS_2)


def without_counterpart(golden: Iterable[str], run: Iterable[str]) -> str | None:
    """The layer calls of either side that the other lacks, counted and named in a sentence."""
    before, now = list(golden), list(run)
    gone = [name for name in before if name not in set(now)]
    new = [name for name in now if name not in set(before)]
    told = [*(f"{name} (golden)" for name in gone), *(f"{name} (this run)" for name in new)]
    if not told:
        return None
    count = f"{len(told)} layer call{'s' if len(told) > 1 else ''} {UNMATCHED}"
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return f"{count}: {', '.join(told[:NAMED])}{more}"
