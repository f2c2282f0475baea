"""Binary search for the first bad of a line of candidates, some of which cannot be tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Answer = Literal["good", "bad", "skip"]


@dataclass(frozen=True, slots=True)
class Found(Generic[Item]):
    """first_bad: the earliest candidate known bad; last_good: the latest known good before it.

    between: the candidates in the gap, all skipped: one of them may be the first bad.
    """

    first_bad: Item
    last_good: Item
    between: tuple[Item, ...]
    probes: int
    skipped: tuple[Item, ...]


def first_bad(line: Sequence[Item], probe: Callable[[Item], Answer]) -> Found[Item]:
    """Search a line whose first element is good and whose last is bad; neither is probed again.

    A candidate that cannot be tested is skipped; the one nearest to the middle is tried next.
    """
    low, high = 0, len(line) - 1
    skipped: set[int] = set()
    probes = 0
    while True:
        at = _nearest_to_middle(low, high, skipped)
        if at is None:
            break
        probes += 1
        answer = probe(line[at])
        if answer == "skip":
            skipped.add(at)
        elif answer == "good":
            low = at
        else:
            high = at
    between = tuple(line[index] for index in range(low + 1, high))
    left_out = tuple(line[index] for index in sorted(skipped))
    return Found(line[high], line[low], between, probes, left_out)


def _nearest_to_middle(low: int, high: int, skipped: set[int]) -> int | None:
    middle = (low + high) // 2
    open_ones = [index for index in range(low + 1, high) if index not in skipped]
    return min(open_ones, key=lambda index: (abs(index - middle), index), default=None)
