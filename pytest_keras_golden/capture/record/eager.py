"""Eager calls of a block: tensors and layer calls of each outermost one, handed on when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...compare.depth import shift
from ...errors import CaptureError
from ...records import LayerCall, TensorRecord
from ...store.digest import digest
from ...tolerance import default
from ..replay.outermost import Outermost
from ..replay.recorder import CallRecorder
from ..state.masks import masks_of
from ..state.variables import Snapshot
from ..tap.limit import Limit
from ..tap.precision import is_eager
from ..tap.request import Request
from ..watch.calls import Call, CallSite, Watch, watching
from ..watch.forgiving import Forgiving, Once
from ..watch.patches import Run
from .host import LayerCapture

if TYPE_CHECKING:
    from ...records import Array
    from ..replay.twins import Gradients, Lifting, Samples


@dataclass(frozen=True)
class Ended:
    """One outermost call that has returned.

    made: as it can be made again, None where nobody will. records: its tensors by the watch's
    names. layers, pool: its layer calls with their tensors, where they were recorded, or why they
    are `unavailable`.
    """

    made: Outermost | None
    records: Mapping[str, TensorRecord]
    returned: Any = None
    layers: tuple[LayerCall, ...] = ()
    pool: Mapping[str, Array] = field(default_factory=dict)
    unavailable: str = ""


CallBegun = Callable[[Call, tuple[Any, ...], dict[str, Any]], None]
CallFinished = Callable[[Ended], None]


class EagerCapture:
    """What one eager block sees; `tensors` fills while it runs.

    seen: number of outermost calls. policy: dtype policy of the first one's layer. renamed:
    structural path → the alias that replaced it. begun: told each outermost call before it runs;
    finished: given each that returned; one that raised leaves nothing, and counts in `raised`.
    """

    def __init__(
        self,
        model: Any | None,
        request: Request,
        recorder: CallRecorder | None,
        begun: CallBegun | None = None,
        finished: CallFinished | None = None,
    ) -> None:
        self.policy: str | None = None
        self.renamed: Mapping[str, str] = {}
        self.raised = 0
        self.watch: Watch
        self._model = model
        self._capture = LayerCapture(request.select, limit=request.limit)
        self._recorder = recorder
        self._isolate = request.isolate
        self._begun = begun
        self._finished = finished
        self._running: Outermost | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        """By the watch's names."""
        return self._capture.sink.tensors

    @property
    def records(self) -> list[TensorRecord]:
        return self._capture.records

    @property
    def seen(self) -> int:
        return self._capture.taps.seen

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not call.outermost:
            return self._observed(call, run, args, kwargs)
        self.policy = self.policy or policy_name(call.target)
        self._running = made = self._made(call, args, kwargs)
        if self._begun is not None:
            self._begun(call, args, kwargs)
        records, layers = len(self._capture.sink.records), self._layers()
        once = Once(run)
        try:
            returned = self._observed(call, once, args, kwargs)
        except BaseException:
            self._forget(records, layers)
            self.raised += isinstance(once.failure, Exception)
            raise
        finally:
            # It has the model, which the test may let go of behind the call.
            self._running = None
        if self._finished is not None:
            self._finished(self._ended(made, records, layers, returned))
        return returned

    def _made(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outermost | None:
        if not self._isolate:
            return None
        held = masks_of(args, kwargs)
        before = Snapshot([call.target, *(a for _, a in self.watch.structure.adopted(call.path))])
        return Outermost(
            call.name, call.method, call.target, args, dict(kwargs), held, before, self.watch
        )

    def met(self, layer: Any) -> None:
        """Its state belongs to that from which the outermost call ran."""
        if self._running is not None:
            self._running.before.add(layer)

    def _observed(self, call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        return both(self._capture, self._recorder, call, run, args, kwargs)

    def _ended(self, made: Outermost | None, records: int, layers: int, returned: Any) -> Ended:
        new = dict(list(self._capture.sink.records.items())[records:])
        return _with_layers(Ended(made, new, returned), self._recorder, layers)

    def _layers(self) -> int:
        return 0 if self._recorder is None else len(self._recorder.calls)

    def _forget(self, records: int, layers: int) -> None:
        """Drop what an outermost call recorded that failed, for a test that goes on after it."""
        self._capture.sink.drop(records)
        if self._recorder is not None:
            del self._recorder.calls[layers:]

    def check(self) -> None:
        """Raises CaptureError for a glob of `select` that matched nothing."""
        self._capture.selection.check()


def both(
    capture: LayerCapture,
    recorder: CallRecorder | None,
    call: Call,
    run: Run,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Let one observer stand around the other: tensors as they come out, and layer calls."""
    __tracebackhide__ = True
    if recorder is None:
        return capture.around(call, run, args, kwargs)

    def recorded(*inner: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return recorder.around(call, run, inner, named)

    return capture.around(call, recorded, args, kwargs)


def _with_layers(ended: Ended, recorder: CallRecorder | None, first: int = 0) -> Ended:
    """With the layer calls that a recorder has from the `first` on, and their tensors."""
    if recorder is None:
        return ended
    calls = tuple(recorder.calls[first:])
    keys = {key for call in calls for key in call.keys}
    pool = {key: recorder.pool[key] for key in keys if key in recorder.pool}
    return replace(ended, layers=calls, pool=pool, unavailable=recorder.unavailable)


def with_twins(ended: Ended, lifting: Lifting, backward: Gradients) -> Ended:
    """A call whose layers have twins, by the watch's names. backward: gradients of its layers in
    their own precision."""
    pool = dict(ended.pool)

    def keep(twin: Array | None) -> str:
        if twin is None:
            return ""
        key = digest(twin)
        pool[key] = twin
        return key

    def kept(samples: Samples, layer: LayerCall) -> tuple[str, ...]:
        return tuple(map(keep, samples.get(layer.name, ())))

    def sent_back(gradients: Gradients, layer: LayerCall) -> dict[str, str]:
        return {name: keep(grad) for name, grad in gradients.get(layer.name, {}).items()}

    layers = tuple(
        replace(
            layer,
            twins=kept(lifting.twins, layer),
            input_twins=kept(lifting.input_twins, layer),
            backward=sent_back(backward, layer),
            backward_twins=sent_back(lifting.gradients, layer),
        )
        for layer in ended.layers
    )
    return replace(ended, layers=layers, pool=pool)


class _Recording:
    """Observer of a call that is made again: its tensors and its layer calls."""

    def __init__(self, request: Request) -> None:
        self.capture = LayerCapture(request.select, limit=Limit(rows=request.limit.rows))
        self.recorder = CallRecorder(request.isolation_bytes)

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        return both(self.capture, self.recorder, call, run, args, kwargs)


def recorded_again(ended: Ended, request: Request) -> Ended:
    """A call with its layers, from making it again. Raises CaptureError where that fails, or where
    it gives other numbers: then nothing that is measured so speaks for it."""
    assert ended.made is not None
    recording = _Recording(request)
    ended.made.again(recording)
    require_the_same(recording.capture.records, ended.records)
    return _with_layers(ended, recording.recorder)


def require_the_same(again: Iterable[TensorRecord], first: Mapping[str, TensorRecord]) -> None:
    """Raises CaptureError where a tensor is not what it was the first time, rounding apart: jax
    divides by a number otherwise where it differentiates. Layers are compared as they are in the
    call that is made again, with the golden's made again."""
    for record in again:
        known = first.get(record.name)
        if known is not None and not _is_the_same(known, record):
            raise CaptureError(
                f"{record.name} differs when the call is made again",
                "Seed what the call draws its numbers from.",
            )


def _is_the_same(known: TensorRecord, record: TensorRecord) -> bool:
    if digest(known.value) == digest(record.value):
        return True
    moved = shift(record.value, known.value, record.arithmetic)
    limit = default(record.arithmetic).k
    return moved is not None and limit is not None and moved.k <= limit


def policy_name(target: Any) -> str | None:
    """Name of the dtype policy of a layer; a class has one that is none yet."""
    name = getattr(getattr(target, "dtype_policy", None), "name", None)
    return None if name is None else str(name)


@contextmanager
def capture_calls(
    model: Any | None,
    request: Request,
    *,
    recorder: CallRecorder | None = None,
    begun: CallBegun | None = None,
    finished: CallFinished | None = None,
    at: Sequence[CallSite] | None = None,
) -> Iterator[EagerCapture]:
    """Record the eager calls of `model`, or of every outermost layer where it is None.

    recorder: keeps the inputs and outputs of every layer. begun, finished: see `EagerCapture`. at:
    see `watching`.
    Raises CaptureError for a tensor beyond the limit and for a glob that matches nothing.
    """
    block = EagerCapture(model, request, recorder, begun, finished)
    observer = block if request.note is None else Forgiving(block, request.note)
    with watching(model, observer, aliases=request.aliases, accept=is_eager, at=at) as watch:
        block.watch, block.renamed = watch, watch.structure.renamed
        watch.met = block.met
        if isinstance(observer, Forgiving):
            observer.watch = watch
        yield block
    block.check()
