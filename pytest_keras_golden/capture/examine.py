"""One outermost call that has just returned, examined: references, isolation, what depth can do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

from ..compare.calls import Difference
from ..compare.cause import MEANING
from ..compare.depth import Shift, furthest, shift
from ..compare.exact import in_one_width
from ..compare.floats import in_the_coarser
from ..compare.isolation import judge_local, worse
from ..errors import CaptureError
from ..outcomes import LocalOutcome, TensorOutcome, is_blamed
from ..records import LayerCall, OutermostCall, TensorRecord, Tolerance
from ..tolerance import EPSILON, default
from .causes import lifting_of, with_causes
from .record.host import LayerCapture
from .reference import may_run_again
from .replay.carry import SAMPLES, Nudges, Nudging, nudges
from .replay.isolate import LocalMeasurement, isolate
from .replay.outermost import Outermost
from .sent_back import carried_backwards, changed_backwards
from .state.fingerprints import Fingerprints, named_seeds
from .state.weights import named_weights
from .tap.limit import Limit
from .tap.request import Request

if TYPE_CHECKING:
    from ..records import Array
    from ..store.codec import Golden


class Against(Protocol):
    """What a block asks about the golden that its test is compared with, while it runs."""

    @property
    def golden(self) -> Golden | None: ...

    @property
    def recording(self) -> bool:
        """Whether a golden, or a candidate for one, is to be written whatever comes out."""

    @property
    def twins(self) -> bool:
        """Whether it is to have twins."""

    @property
    def across_backends(self) -> bool:
        """Whether the golden is of another backend, on purpose."""

    @property
    def across_policies(self) -> bool:
        """Whether the golden may be of another dtype policy, on purpose."""

    def moved(self, records: Sequence[TensorRecord]) -> bool:
        """Whether a judged tensor is not the golden's, bit for bit."""

    def beyond(self, records: Sequence[TensorRecord]) -> bool:
        """Whether a judged tensor is beyond its tolerance."""

    def outcome(self, record: TensorRecord) -> TensorOutcome | None:
        """What the tensor is against the golden's; None without a golden."""

    def unchanged(
        self, name: str, digest: str, tolerance: Tolerance | None
    ) -> Sequence[TensorRecord] | None:
        """What the golden has of a run of a program, where that is this one; else None.
        tolerance: what the block asks for."""

    def begins(self, policy: str | None) -> None:
        """Told the dtype policy of what is called, before the first call."""

    def differs(self, call: OutermostCall, prints: Fingerprints) -> Difference | None:
        """Why nothing can be said of this call's layers: its weights are not the golden's, say; or
        only of those that draw."""


@dataclass(frozen=True)
class Examined:
    """What was found out about one outermost call.

    isolation: `complete`, `not needed`, or why there is none. locals: each layer's own change.
    given, returned: how far those of its inputs and outputs that moved lie from the golden's, None
    for what cannot be measured. reach: tensor → how far the local changes reach when the model
    carries them on; sent: how far they move what layers send back, as relative L2. unmeasured:
    components of a training step that could not be run by themselves.
    """

    call: str
    isolation: str = "not needed"
    locals: tuple[LocalOutcome, ...] = ()
    given: tuple[Shift | None, ...] = ()
    returned: tuple[Shift | None, ...] = ()
    reach: Mapping[str, Shift] = field(default_factory=dict)
    sent: float = 0.0
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Returned:
    """A call that has returned, with all that was recorded of it.

    made: as it can be made again. entry: what it ran with. records: its tensors under the golden's
    names; eager: those of `made` itself, by the watch's names (others where a program is recorded).
    named: the watch's names of tensors → the golden's; layers: of layer calls → their record. pool:
    digest → array.
    """

    made: Outermost
    entry: OutermostCall
    records: Sequence[TensorRecord]
    eager: Mapping[str, TensorRecord]
    named: Mapping[str, str]
    layers: Mapping[str, LayerCall]
    pool: Mapping[str, Array]


def examine(call: Returned, request: Request, against: Against, prints: Fingerprints) -> Examined:
    """Isolate a call whose tensors moved, and carry what that finds through the model.

    prints: what this call and those before it in the block ran with.
    """
    golden = against.golden
    if golden is None:
        return Examined(call.entry.name)
    differs = against.differs(call.entry, prints)
    if differs is not None and differs.kind != "redrawn":
        return Examined(call.entry.name, f"unavailable: {differs.sentence}")
    if golden.header.isolation != "complete":
        return Examined(call.entry.name, golden.header.isolation)
    calls = _golden_calls(golden, call)
    if not calls:
        return Examined(call.entry.name, "unavailable: the golden has no layer of this call")
    pool = Pooled(golden, (layer for _, layer in calls.values()))
    try:
        measured: list[LocalMeasurement] = []
        isolate(call.made, calls, pool, measured.append, request.prefix)
        locals_ = _changes(call, calls, pool, measured, request, against)
        if differs is not None:
            locals_ = tuple(_redrawn(locals_, call, differs.sentence))
        examined = replace(_shifts(call, calls, pool), isolation="complete", locals=locals_)
        if _rounding_only(examined) and against.beyond(call.records):
            sizes = nudges(measured)
            sent = carried_backwards(call.made, calls, pool, call.layers, call.pool, sizes)
            examined = replace(examined, reach=carried(call, sizes, request), sent=sent)
    except CaptureError as error:
        # Nothing was measured, which must not look like nothing found.
        return Examined(call.entry.name, f"unavailable: {error.problem}")
    return examined


def _changes(
    call: Returned,
    calls: GoldenCalls,
    pool: Mapping[str, Array],
    measured: Sequence[LocalMeasurement],
    request: Request,
    against: Against,
) -> tuple[LocalOutcome, ...]:
    """What layers made of golden inputs, and of training steps what they send back, with causes."""
    lifting = lifting_of(call.made, calls, pool, may_run_again(call.made.target, request.asked))
    locals_ = with_causes(_locals(measured, against), measured, calls, pool, lifting)
    if not isinstance(lifting, str):
        locals_ += changed_backwards(call.made, calls, pool, lifting, locals_)
    if against.across_backends or against.across_policies:
        held = _held(call.made.target) if against.across_policies else None
        return tuple(_on_purpose(local, against.across_backends, held) for local in locals_)
    return locals_


GoldenCalls = Mapping[str, "tuple[int, LayerCall]"]
"""The watch's name of a layer call → its place in the golden's calls, and what is there."""


def _golden_calls(golden: Golden, call: Returned) -> dict[str, tuple[int, LayerCall]]:
    watched = {layer.name: name for name, layer in call.layers.items()}
    every = enumerate(golden.header.calls)
    return {
        watched[layer.name]: (order, layer)
        for order, layer in every
        if layer.call == call.entry.name and layer.name in watched
    }


def _shifts(call: Returned, calls: GoldenCalls, pool: Mapping[str, Array]) -> Examined:
    """How far what the outermost call was given and returned lies from the golden's."""
    own, golden = call.layers.get(call.made.name), calls.get(call.made.name)
    if own is None or golden is None:
        return Examined(call.entry.name, given=(None,), returned=(None,))

    def moved(now: Sequence[str], before: Sequence[str]) -> tuple[Shift | None, ...]:
        pairs = ((a, b) for a, b in zip_longest(now, before) if a != b)
        return tuple(
            shift(call.pool[a], pool[b], own.precision) if a in call.pool and b else None
            for a, b in pairs
        )

    return Examined(
        call.entry.name,
        given=moved(own.inputs, golden[1].inputs),
        returned=moved(own.outputs, golden[1].outputs),
    )


class Pooled(Mapping[str, "Array"]):
    """Isolation tensors of a golden by digest, read when they are asked for."""

    def __init__(self, golden: Golden, calls: Iterable[LayerCall]) -> None:
        self._golden = golden
        self._keys = {key for call in calls for key in call.keys}

    def __getitem__(self, key: str) -> Array:
        return self._golden.pooled(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


# -- what isolation found -------------------------------------------------------------------


def _locals(measured: Sequence[LocalMeasurement], against: Against) -> tuple[LocalOutcome, ...]:
    """Each layer's own change, the worst of its tensors deciding, in execution order."""
    worst: dict[str, LocalOutcome] = {}
    for item in measured:
        if item.part != "given":
            local = _judged(item, against)
            known = worst.get(local.name)
            worst[local.name] = local if known is None else worse(known, local)
    return tuple(sorted(worst.values(), key=lambda local: local.order))


def _judged(item: LocalMeasurement, against: Against) -> LocalOutcome:
    if item.identical:
        return LocalOutcome(item.name, item.order, "identical", item.precision, 0.0, 0.0, 0.0, 0.0)
    actual, golden = item.actual, item.golden
    if against.across_policies:
        actual, golden = in_the_coarser(actual, golden)
    if against.across_backends:
        actual, golden = in_one_width(actual, golden)
    local = judge_local(item.name, item.order, [actual], [golden], item.precision)
    between = f"between the layers of {item.layer}: {item.at}" if item.part == "between" else ""
    said = "; ".join(text for text in (between, item.why, local.note) if text)
    return replace(local, note=said or None)


def _redrawn(
    layers: Sequence[LocalOutcome], call: Returned, sentence: str
) -> Iterator[LocalOutcome]:
    """Other numbers of the same seeds are no change of the layers that draw them."""
    seeds = [name for name, _ in named_seeds(call.made.target, call.entry.path)]
    drawing = {_owner(f"{seed}/", layers) for seed in seeds}
    for layer in layers:
        other = replace(layer, cause="random", no_cause=None, note=sentence)
        yield other if layer.name in drawing and is_blamed(layer) else layer


def _owner(seed: str, layers: Sequence[LocalOutcome]) -> str | None:
    """The innermost layer that was run by itself and has the generator."""
    named = ((re.sub(r"@\d+$", "", layer.name), layer.name) for layer in layers)
    owners = [(path, name) for path, name in named if seed.startswith(f"{path}/")]
    return max(owners, key=lambda owner: len(owner[0]), default=(None, None))[1]


def _on_purpose(local: LocalOutcome, between_backends: bool, held: str | None) -> LocalOutcome:
    """What two implementations, or two precisions, of one layer may differ by: they round, and
    approximate, elsewhere.

    Other precision handling is what was asked for; how far it reaches is judged. held: as `_held`.
    """
    limit = default(local.precision, between_backends).k
    small = None not in (limit, local.k) and local.k <= limit  # type: ignore[operator]
    tolerated = small and local.verdict in ("drift", "systematic")
    meant = local.cause == "precision" or _of_weights(local, held)
    cause = None if meant else local.cause
    return replace(local, verdict="within" if tolerated else local.verdict, cause=cause)


def _held(target: object) -> str | None:
    """The lowest precision that the weights of a call are held in, where it is a low one: its twins
    are made with the golden's weights, rounded to that."""
    precisions = {str(variable.dtype) for variable in named_weights(target).values()}
    low = [p for p in precisions if p in MEANING and EPSILON[p] > EPSILON["float32"]]
    return max(low, key=EPSILON.__getitem__, default=None)


def _of_weights(local: LocalOutcome, held: str | None) -> bool:
    """Whether a layer means another thing by no more than the rounding of its weights explains."""
    if held is None or local.cause != "meaning" or local.twin is None:
        return False
    return local.twin.k * EPSILON["float32"] <= MEANING[held]


def _rounding_only(examined: Examined) -> bool:
    return not any(map(is_blamed, examined.locals))


# -- what depth can do ----------------------------------------------------------------------


def carried(call: Returned, sizes: Nudges, request: Request) -> dict[str, Shift]:
    """Tensor → the furthest that changes of these sizes move it by, with several random signs."""
    samples = [_nudged(call.made, request, sizes, at) for at in range(SAMPLES if sizes else 0)]
    return {
        call.named[name]: furthest(
            moved
            for sample in samples
            if name in sample
            and (moved := shift(sample[name].value, record.value, record.precision)) is not None
        )
        for name, record in call.eager.items()
        if name in call.named
    }


def _nudged(
    made: Outermost, request: Request, sizes: Nudges, sample: int
) -> dict[str, TensorRecord]:
    capture = LayerCapture(request.select, limit=Limit(rows=request.limit.rows))
    made.again(Nudging(capture, sizes, sample))
    return {record.name: record for record in capture.records}
