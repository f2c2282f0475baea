"""A capture block, as a test's case takes it: tensors, what calls ran with, what was examined."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, StoreError, a_kind
from ..io.strict import shown as quoted
from ..outcomes import RAISED
from ..records import LayerCall, Mode, ObserverEffect, OutermostCall, ProgramRun, TensorRecord
from .examine import Against, Examined
from .stream.functions import listening
from .tap.request import Request
from .watchers import Watchers

if TYPE_CHECKING:
    from ..records import Array


@dataclass
class CaptureBlock:
    """What one block recorded; `tensors` fills while it runs, the rest is there when it ended.

    weights: structural name → digest, before the first call of each model; inputs: call and place
    → digest; outermost: in the order in which calls ended. isolates: the block was captured for an
    isolating pass; isolation: `complete`, or why its recording cannot be isolated against.
    examined: what was found out about calls that moved.
    renamed: structural name → what an alias made of it. programs: runs that need not be watched
    again.
    """

    isolates: bool = True
    isolation: str = "complete"
    mode: Mode = "eager"
    observer: ObserverEffect | None = None
    policy: str | None = None
    records: Sequence[TensorRecord] = ()
    calls: Sequence[LayerCall] = ()
    pools: Sequence[Mapping[str, Array]] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outermost: Sequence[OutermostCall] = ()
    examined: Mapping[str, Examined] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    programs: Sequence[ProgramRun] = ()
    watchers: Watchers | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        return _Live(self)

    @property
    def pool(self) -> Mapping[str, Array]:
        """Digest → array of what `calls` name; those of calls that did not move are read of the
        golden only now."""
        return {key: array for pool in self.pools for key, array in pool.items()}

    @property
    def damage(self) -> StoreError | None:
        """Why the golden could not be read, which is none of the test's own errors."""
        return None if self.watchers is None else self.watchers.damage

    @property
    def saw_calls(self) -> bool:
        """Whether any call was seen, recorded or not."""
        return bool(self.outermost) or (
            self.watchers is not None and bool(self.watchers.prints.outermost)
        )

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way that is looked into, with everything inside it."""
        return self.watchers is not None and self.watchers.busy

    @property
    def unseen(self) -> Mapping[str, int]:
        """Methods of models that ran and are not looked into, with how often."""
        return {} if self.watchers is None else self.watchers.unseen

    @property
    def why_empty(self) -> str:
        """Of a block without a tensor."""
        ran = [kind for kind, count in self.unseen.items() if count and kind != RAISED]
        if ran:
            verb = "are" if len(ran) > 1 else "is"
            named = " and ".join(f"`{kind}`" for kind in ran)
            return f"only {named} ran inside it, which {verb} not looked into"
        if self.saw_calls:
            return "what was called inside it has none"
        if self.unseen.get(RAISED):
            return "every call of Keras inside it raised an exception"
        return "nothing was called inside it, or the call was compiled before the block began"

    def complete(self) -> None:
        """Take over what the watchers have, once the block was left."""
        watchers = self.watchers
        if watchers is None:
            return
        findings = watchers.findings
        self.records = findings.records
        self.mode, self.observer = watchers.mode, watchers.observer
        self.policy = watchers.policy
        self.weights, self.inputs = watchers.prints.weights, watchers.prints.inputs
        self.outermost = watchers.prints.outermost
        self.examined = findings.examined
        self.renamed, self.programs = watchers.renamed, findings.programs
        self.isolation = findings.isolation
        self.calls, self.pools = findings.layers, findings.pools


class _Live(Mapping[str, "Array"]):
    """What a block has recorded so far, whenever it is asked."""

    def __init__(self, block: CaptureBlock) -> None:
        self._block = block

    def _now(self) -> Mapping[str, Array]:
        if self._block.records or self._block.watchers is None:
            return {record.name: record.value for record in self._block.records}
        return self._block.watchers.tensors

    def __getitem__(self, name: str) -> Array:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


def _require_watchable(model: Any | None) -> None:
    try:
        # What holds no layers of its own, and no call of it is a call of any.
        if isinstance(model, type) or inspect.isroutine(model):
            raise TypeError
        weakref.ref(model) if model is not None else None
    except TypeError:
        raise CaptureError(
            f"capture() got {a_kind(model)}: {quoted(str(model))}",
            "Pass a Keras model or layer, or an object with layers as attributes.",
        ) from None


@contextmanager
def capture_block(
    model: Any | None, request: Request, against: Against | None = None
) -> Iterator[CaptureBlock]:
    """Record what `model` (None: every outermost layer) computes until the block is left.

    Eager calls, the methods of `methods.STEP_OF`, and programs traced and run inside the block.
    against: the golden of the test; calls that moved against it are examined as they return.
    """
    _require_watchable(model)
    watchers = Watchers(model, request, against)
    block = CaptureBlock(isolates=request.isolate)
    with listening(), watchers.watching():
        block.watchers = watchers
        yield block
    block.complete()
