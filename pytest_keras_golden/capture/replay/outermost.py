"""An outermost call as it was made, and making it again right after it has returned.

At once, since what a test does next may train the model, write into the inputs or let go of the
model; nothing of the call is kept beyond that.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ...errors import CaptureError, StoreError
from ..backends import primal
from ..backends.nest import exchanged
from ..state.masks import Masks, put_masks, with_mask_of
from ..state.variables import Snapshot, unchanged
from ..tap.precision import is_eager
from ..watch import patches
from ..watch.calls import Observer, Watch, opened
from ..watch.unnoticed import unnoticed


@dataclass(frozen=True)
class Outermost:
    """One outermost eager call: method and layer, its arguments and the masks that they carried,
    the state from which it ran, and the watch that named what happened inside."""

    name: str
    method: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    masks: Masks
    before: Snapshot
    watch: Watch

    def again(self, observer: Observer) -> None:
        """Run the call once more from the state before it, seen by `observer` alone.

        State, statistics, seeds and random generators are afterwards as they were. Raises
        CaptureError where the call fails the second time.
        """
        watch = self.watch.again(observer, accept=is_eager)
        structure = self.watch.structure
        hidden = [layer for _, layer in structure.adopted(structure.path(self.target) or "")]
        with (
            unchanged([self.target, *hidden]),
            patches.alone(watch),
            opened(watch),
            _without_gradients(),
            unnoticed(self.target),
        ):
            self.before.restore()
            put_masks(self.masks)
            try:
                getattr(self.target, self.method)(*_settled(self.args), **_settled(self.kwargs))
            except (CaptureError, StoreError):
                # The second: a damaged golden, and nothing that the user's model did.
                raise
            except Exception as error:
                raise CaptureError(
                    f"{type(self.target).__name__} fails when it is called again: "
                    f"{type(error).__name__}: {error}",
                    "Use capture(..., isolate=False) to do without an isolating pass.",
                ) from error


def _settled(nest: Any) -> Any:
    """Arguments without what a gradient that is being taken wraps around them."""

    def settled(leaf: Any) -> Any:
        value = primal(leaf)
        return leaf if value is leaf else with_mask_of(leaf, value)

    return exchanged(nest, settled)


def _without_gradients() -> AbstractContextManager[None]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.no_grad()
