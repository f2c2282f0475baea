"""Which nodes of a graph are computed otherwise, found by measuring parts of it.

Knows nothing of models: nodes are numbers in an order in which each comes behind its parents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

BeyondTolerance = Callable[[int, frozenset[int]], bool | None]
"""Whether what comes out of a node is beyond its tolerance, where these other nodes' own outputs
are given exactly; None where it cannot be measured."""


@dataclass(frozen=True, slots=True)
class Guilt:
    """guilty: nodes that differ although their inputs agree. steps: nodes up to which differences
    that are none alone had added up. unmeasured: those that could not be. complete: whether the
    rest, given exactly what these should return, agrees."""

    guilty: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    unmeasured: tuple[int, ...] = ()
    complete: bool = True


@dataclass
class Search:
    """parents: node → nodes it reads. most: measurements; each exports a part of a model."""

    parents: Mapping[int, Sequence[int]]
    measure: BeyondTolerance
    most: int = 80
    known: frozenset[int] = frozenset()
    _guilty: list[int] = field(default_factory=list)
    _steps: list[int] = field(default_factory=list)
    _unmeasured: dict[int, None] = field(default_factory=dict)
    _measured: dict[tuple[int, frozenset[int]], bool | None] = field(default_factory=dict)

    @property
    def differed(self) -> bool:
        """Whether anything that was measured did."""
        return any(self._measured.values())

    def run(self, outputs: Sequence[int]) -> Guilt:
        """From outputs that may differ back to what makes them differ."""
        complete = True
        for output in outputs:
            while output not in self.known:
                if len(self._measured) >= self.most:
                    complete = False
                    break
                beyond = self._beyond(output)
                complete = complete and beyond is not None
                if not beyond:
                    break
                self._settle(self._first(output))
        return Guilt(tuple(self._guilty), tuple(self._steps), tuple(self._unmeasured), complete)

    def _settle(self, node: int) -> None:
        """Say what a node does alone, and go on as if it had done right."""
        alone = self._beyond(node, frozenset(self.parents.get(node, ())))
        if alone:
            self._guilty.append(node)
        elif alone is not None:
            self._steps.append(node)
        self.known |= {node}

    def _first(self, node: int) -> int:
        """A node that is beyond its tolerance, none of whose parents is known to be."""
        while True:
            node = self._halved(self._above(node))
            parent = next((p for p in self.parents.get(node, ()) if self._is_bad(p)), None)
            if parent is None:
                return node
            node = parent

    def _is_bad(self, node: int) -> bool:
        return node not in self.known and bool(self._beyond(node))

    def _halved(self, order: Sequence[int]) -> int:
        """order: ends with a node that is beyond."""
        low, high = -1, len(order) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._beyond(order[middle]):
                high = middle
            else:
                low = middle
        return order[high]

    def _above(self, node: int) -> list[int]:
        """The node and all that it is made of, in order, up to what is given."""
        found, waiting = {node}, [node]
        while waiting:
            for parent in self.parents.get(waiting.pop(), ()):
                if parent not in found and parent not in self.known:
                    found.add(parent)
                    waiting.append(parent)
        return sorted(found)

    def _beyond(self, node: int, given: frozenset[int] = frozenset()) -> bool | None:
        key = (node, (self.known | given) - {node})
        if key not in self._measured:
            self._measured[key] = self.measure(*key)
            if self._measured[key] is None:
                self._unmeasured[node] = None
        return self._measured[key]
