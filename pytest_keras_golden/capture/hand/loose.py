"""Losses that a loop of the test's own computes, and what layers and weights add to them, until an
optimizer makes a step of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...store.digest import digest
from ..backends import is_concrete, keeps_order, primal, view
from ..tap.precision import is_numeric

if TYPE_CHECKING:
    from ...records import Array
    from ..record.reads import Reads

_MOST = 64
"""Losses that wait for a step: a test that only evaluates some has thousands."""


@dataclass(eq=False)
class Loss:
    """One that was called. given: digest of what it was compared with, where that can be told.
    traced: handed over by a program, each time that this runs. receive: who takes it then."""

    name: str
    given: str = ""
    traced: bool = False
    receive: Callable[[Array], None] | None = None
    _kept: Array | None = None

    def __call__(self, array: Array) -> None:
        if self.receive is not None:
            self.receive(array)
        else:
            self._kept = array

    def fetch(self) -> Array | None:
        """Its value since the last time."""
        kept, self._kept = self._kept, None
        return kept


@dataclass
class Losses:
    """waiting: of how many no step was made."""

    reads: Reads
    waiting: int = 0
    _seen: deque[Loss] = field(default_factory=lambda: deque(maxlen=_MOST))

    def take(self, name: str, value: Any, given: Sequence[Any] = ()) -> None:
        """given: what a loss was called with, first of all the labels."""
        self.waiting += 1
        traced = not is_concrete(primal(value))
        if not is_numeric(value) or (traced and not keeps_order()):
            return
        labels = [leaf for leaf in given if is_numeric(leaf) and is_concrete(leaf)]
        loss = Loss(name, digest(view(labels[0])) if labels else "", traced)
        self._seen.append(loss)
        self.reads.read(primal(value), loss)

    def hand_over(self) -> list[Loss]:
        """Those since the last step, and those of programs, which may have run again."""
        losses, self.waiting = list(self._seen), 0
        self._seen = deque((loss for loss in losses if loss.traced), maxlen=_MOST)
        return losses
