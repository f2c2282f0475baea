"""A finished capture block, as the session takes it: tensors, calls, fingerprints, isolation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..compare.isolation import judge_local
from ..outcomes import LocalOutcome
from ..records import LayerCall, Mode, Observer, TensorRecord, Tolerance
from .eager import EagerCapture, capture_calls
from .isolate import LocalMeasurement
from .reference import references
from .watch import Call
from .weights import fingerprints, input_fingerprints

if TYPE_CHECKING:
    from ..records import Array
    from ..store.codec import Golden

_WORST_LAST = ("identical", "within", "systematic", "drift", "nonfinite", "structure")


@dataclass
class CaptureBlock:
    """What one block recorded; `tensors` fills while it runs, the rest is there when it ended.

    weights, inputs: structural name → digest, both as they were before the first call.
    isolates: the block was captured for an isolating pass; isolation: `complete`, or why not.
    """

    isolates: bool = True
    isolation: str = "complete"
    mode: Mode = "eager"
    observer: Observer | None = None
    policy: str | None = None
    records: list[TensorRecord] = field(default_factory=list)
    calls: Sequence[LayerCall] = ()
    pool: Mapping[str, Array] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    eager: EagerCapture | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        return self.eager.tensors if self.eager is not None else {}

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
        exact = references(self.eager, self.records)
        if sum(array.nbytes for array in exact.values()) <= limit:
            self.records = [
                replace(record, reference=exact.get(record.name)) for record in self.records
            ]


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


@contextmanager
def capture_block(
    model: Any | None,
    *,
    select: Sequence[str],
    name: str | None = None,
    tolerance: Tolerance | None = None,
    isolate: bool = True,
    max_bytes: int | None = None,
    aliases: Mapping[str, str] | None = None,
    isolation_bytes: int | None = None,
) -> Iterator[CaptureBlock]:
    """Record what `model` (None: every outermost layer) computes until the block is left."""
    block = CaptureBlock(isolates=isolate)
    prefix = f"{name}/" if name else ""

    def begun(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not call.order:
            block.weights = fingerprints_of(call.target if model is None else model, prefix)
        for place, key in input_fingerprints(args, kwargs).items():
            block.inputs[f"{prefix}{call.name}{place}"] = key

    with capture_calls(
        model,
        select=select,
        name_prefix=name,
        max_bytes=max_bytes,
        isolate=isolate,
        isolation_bytes=isolation_bytes,
        aliases=tuple((aliases or {}).items()),
        begun=begun,
    ) as eager:
        block.eager = eager
        yield block
    if not block.weights and model is not None:
        # Lazily built by the first call: these are its initial weights, unless it trained.
        block.weights = fingerprints_of(model, prefix)
    block.records = [replace(item, tolerance=tolerance) for item in eager.records]
    block.policy = eager.policy
    if eager.unavailable:
        block.isolation = f"unavailable: {eager.unavailable}"
    elif isolate:
        block.calls, block.pool = eager.calls, eager.pool


def fingerprints_of(model: Any, prefix: str) -> dict[str, str]:
    """Structural weight name, with the block's prefix → digest."""
    return {prefix + name: key for name, key in fingerprints(model).items()}
