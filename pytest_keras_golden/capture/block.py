"""A finished capture block, as the session takes it: tensors, calls, fingerprints, isolation."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..compare.isolation import judge_local
from ..errors import CaptureError
from ..outcomes import LocalOutcome
from ..records import LayerCall, Mode, Observer, TensorRecord, Tolerance
from .eager import EagerCapture
from .forgiving import Note
from .isolate import LocalMeasurement
from .limit import NO_LIMIT, Limit
from .recorders import Recorders
from .reference import references

if TYPE_CHECKING:
    from ..records import Array
    from ..store.codec import Golden

_WORST_LAST = ("identical", "within", "systematic", "drift", "nonfinite", "structure")


@dataclass
class CaptureBlock:
    """What one block recorded; `tensors` fills while it runs, the rest is there when it ended.

    weights, inputs: structural name → digest, both as they were before the first call.
    renamed: structural name → what an alias made of it.
    isolates: the block was captured for an isolating pass; isolation: `complete`, or why not;
    insists: a pass that fails is the test's failure.
    """

    isolates: bool = True
    isolation: str = "complete"
    insists: bool = True
    mode: Mode = "eager"
    observer: Observer | None = None
    policy: str | None = None
    records: list[TensorRecord] = field(default_factory=list)
    calls: Sequence[LayerCall] = ()
    pool: Mapping[str, Array] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    eager: EagerCapture | None = None
    recorders: Recorders | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        return _Live(self)

    def complete(self, tolerance: Tolerance | None) -> None:
        """Take over what the recorders have, once the block was left."""
        recorders = self.recorders
        if recorders is None:
            return
        self.records = [replace(item, tolerance=tolerance) for item in recorders.records]
        self.mode, self.observer = recorders.mode, recorders.observer
        self.policy = recorders.policy
        self.weights, self.inputs = recorders.weights, recorders.inputs
        self.renamed = recorders.renamed
        self.isolation = recorders.isolation
        self.eager = recorders.replayable
        if self.isolates and self.eager is not None:
            # Without a pool too: the names say which calls of a golden can be isolated.
            self.calls, self.pool = self.eager.calls, self.eager.pool

    def isolate(self, calls: Sequence[LayerCall], golden: Golden) -> list[LocalOutcome]:
        """Each layer's own change on golden inputs, the worst of its tensors deciding."""
        if self.eager is None:
            return []
        found: dict[str, LocalOutcome] = {}

        def judge(measured: LocalMeasurement) -> None:
            local = _judged(measured)
            known = found.get(local.name)
            if known is None or _severity(local) > _severity(known):
                found[local.name] = local

        self.eager.isolate(calls, _Pool(golden, calls), judge)
        return sorted(found.values(), key=lambda local: local.order)

    def add_references(self, limit: int) -> None:
        """Recompute low-precision tensors in float32, for the three-way rule.

        limit: bytes; references that take more together are left out.
        """
        if self.eager is None or not self.isolates:
            return
        shapes = {record.name: record.value.shape for record in self.records}
        exact = {
            name: array
            for name, array in references(self.eager, self.records).items()
            # A compiled call of many batches is replayed with its first one.
            if array.shape == shapes[name]
        }
        if sum(array.nbytes for array in exact.values()) <= limit:
            self.records = [
                replace(record, reference=exact.get(record.name)) for record in self.records
            ]


class _Live(Mapping[str, "Array"]):
    """What a block has recorded so far, whenever it is asked."""

    def __init__(self, block: CaptureBlock) -> None:
        self._block = block

    def _now(self) -> Mapping[str, Array]:
        if self._block.records or self._block.recorders is None:
            return {record.name: record.value for record in self._block.records}
        return self._block.recorders.tensors

    def __getitem__(self, name: str) -> Array:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


class _Pool(Mapping[str, "Array"]):
    """The golden's isolation tensors by digest, read when they are needed."""

    def __init__(self, golden: Golden, calls: Sequence[LayerCall]) -> None:
        self._golden = golden
        self._keys = {key for call in calls for key in (*call.inputs, *call.outputs)}

    def __getitem__(self, key: str) -> Array:
        return self._golden.pooled(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _judged(measured: LocalMeasurement) -> LocalOutcome:
    if measured.identical:
        return LocalOutcome(
            measured.name, measured.order, "identical", measured.precision, 0.0, 0.0, 0.0, 0.0
        )
    local = judge_local(
        measured.name, measured.order, [measured.actual], [measured.golden], measured.precision
    )
    if measured.part == "output":
        return local
    between = f"between the layers of {measured.layer}: {measured.at}"
    return replace(local, note=f"{between}; {local.note}" if local.note else between)


def _severity(local: LocalOutcome) -> tuple[int, float]:
    return _WORST_LAST.index(local.verdict), local.k or 0.0


def _require_watchable(model: Any | None) -> None:
    try:
        weakref.ref(model) if model is not None else None
    except TypeError:
        raise CaptureError(
            f"capture() got a {type(model).__name__}: {str(model)[:60]!r}",
            "Pass a Keras model or layer, or an object with layers as attributes.",
        ) from None


@contextmanager
def capture_block(
    model: Any | None,
    *,
    select: Sequence[str],
    name: str | None = None,
    tolerance: Tolerance | None = None,
    isolate: bool = True,
    limit: Limit = NO_LIMIT,
    aliases: Mapping[str, str] | None = None,
    isolation_bytes: int | None = None,
    note: Note | None = None,
) -> Iterator[CaptureBlock]:
    """Record what `model` (None: every outermost layer) computes until the block is left.

    Eager calls, the methods of `owned.STEP_OF`, and programs traced and run inside the block.
    note: takes what of them cannot be captured, which else raises.
    """
    _require_watchable(model)
    recorders = Recorders(
        model,
        tuple(select),
        name,
        limit,
        tuple((aliases or {}).items()),
        isolate,
        isolation_bytes,
        note,
    )
    block = CaptureBlock(isolates=isolate)
    with recorders.watching():
        block.recorders = recorders
        yield block
    block.complete(tolerance)
