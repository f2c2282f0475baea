"""The eager capture block: tensors, layer calls for isolation, and the calls to replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError
from ..records import LayerCall, TensorRecord
from .calls import CallRecorder
from .forgiving import Forgiving, Note
from .gates import Run
from .isolate import LocalMeasurement, Measure, isolate
from .layers import LayerCapture, is_eager
from .limit import NO_LIMIT, Limit
from .masks import masks_of
from .outermost import Copies, Outermost, weights_kept
from .state import Snapshot
from .watch import Call, Watch, watching

if TYPE_CHECKING:
    from ..records import Array


Begun = Callable[[Call, tuple[Any, ...], dict[str, Any]], None]


class EagerCapture:
    """What one eager block saw; `tensors` and `outermost` fill while it runs.

    seen: number of outermost calls. policy: dtype policy of the first one's layer. outermost:
    each as it was made. renamed: structural path → the alias that replaced it.
    """

    def __init__(
        self,
        model: Any | None,
        select: Sequence[str],
        prefix: str,
        limit: Limit,
        recorder: CallRecorder | None,
        aliases: Sequence[tuple[str, str]],
        begun: Begun | None = None,
    ) -> None:
        self.outermost: list[Outermost] = []
        self.policy: str | None = None
        self.renamed: Mapping[str, str] = {}
        self.watch: Watch
        self._select = select
        self._limit = limit
        self._capture = LayerCapture(select, prefix=prefix, limit=limit)
        self._recorder = recorder
        self._before: Snapshot | None = None
        self._copies = Copies()
        self._model = model
        self._prefix = prefix
        self._aliases = aliases
        self._begun = begun

    @property
    def tensors(self) -> Mapping[str, Array]:
        return self._capture.sink.tensors

    @property
    def records(self) -> list[TensorRecord]:
        return self._capture.records

    @property
    def seen(self) -> int:
        return self._capture.taps.seen

    @property
    def calls(self) -> Sequence[LayerCall]:
        return [] if self._recorder is None else self._recorder.calls

    @property
    def pool(self) -> Mapping[str, Array]:
        """Of the calls that ended: what a call was given that raised is in none of them."""
        if self._recorder is None:
            return {}
        kept = {key for call in self.calls for key in (*call.inputs, *call.outputs)}
        return {key: array for key, array in self._recorder.pool.items() if key in kept}

    @property
    def unavailable(self) -> str:
        """Why there is no pool for an isolating pass, "" where there is one."""
        return "" if self._recorder is None else self._recorder.unavailable

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not call.outermost:
            return self._observed(call, run, args, kwargs)
        self._begin(call, args, kwargs)
        marks = self._marks()
        try:
            returned = self._observed(call, run, args, kwargs)
        except BaseException:
            self._forget(*marks)
            raise
        self._keep_weights()
        return returned

    def _observed(self, call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if self._recorder is None:
            return self._capture.around(call, run, args, kwargs)
        recorder = self._recorder

        def recorded(*inner: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            return recorder.around(call, run, inner, named)

        return self._capture.around(call, recorded, args, kwargs)

    def _keep_weights(self) -> None:
        """Of whatever is called outermost: the test may train it before it is called again.

        Behind the call, since the first one may build the layer.
        """
        if self._model is None and self._before is not None:
            self.outermost[-1].weights.extend(
                self._copies.of(self.outermost[-1].target, self._before.variables)
            )

    def _marks(self) -> tuple[int, int]:
        return len(self._capture.sink.records), len(self.calls)

    def _forget(self, records: int, calls: int) -> None:
        """Drop what an outermost call recorded that failed, for a test that goes on after it."""
        self._capture.sink.drop(records)
        if self._recorder is not None:
            del self._recorder.calls[calls:]
            self.outermost.pop()

    def _begin(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.policy = self.policy or policy_name(call.target)
        if self._begun is not None:
            self._begun(call, args, kwargs)
        if self._recorder is None:
            return
        held = masks_of(args, kwargs)
        made = Outermost(call.method, call.target, args, dict(kwargs), held, [])
        self.outermost.append(made)
        self._before = self._before or Snapshot()
        self._before.add(call.target if self._model is None else self._model)

    def replay(self) -> list[TensorRecord]:
        """The same records from running the outermost calls once more, from the state before them.

        The caller restores state afterwards. Needs a block that was captured for isolation.
        """
        limit = Limit(rows=self._limit.rows)
        again = EagerCapture(self._model, self._select, self._prefix, limit, None, self._aliases)
        if self._before is not None:
            self._before.restore()
        observed = watching(self._model, again, aliases=self._aliases, accept=is_eager)
        with weights_kept(self.outermost), observed:
            for call in self.outermost:
                call.again()
        return again.records

    def check(self) -> None:
        """Raises CaptureError for a glob of `select` that matched nothing."""
        self._capture.selection.check()

    def isolate(
        self,
        golden_calls: Sequence[LayerCall],
        golden_pool: Mapping[str, Array],
        measure: Measure | None = None,
    ) -> list[LocalMeasurement]:
        """Every layer's own change on golden inputs, in the order of the replay.

        measure: takes each measurement as it is made; then nothing is collected or returned.
        Raises CaptureError where the block was not captured for it, or the replay fails.
        """
        if self._before is None:
            raise CaptureError(
                "nothing was recorded for an isolating pass",
                "Capture with isolate=True and call the model inside the block.",
            )
        collected: list[LocalMeasurement] = []
        isolate(
            self.outermost,
            self._before,
            golden_calls,
            golden_pool,
            root=self._model,
            prefix=self._prefix,
            aliases=self._aliases,
            measure=measure or collected.append,
        )
        return collected


def policy_name(target: Any) -> str | None:
    """Name of the dtype policy of a layer."""
    policy = getattr(target, "dtype_policy", None)
    return None if policy is None else str(policy.name)


@contextmanager
def capture_calls(
    model: Any | None,
    *,
    select: Sequence[str] = ("attention", "logits"),
    name_prefix: str | None = None,
    limit: Limit = NO_LIMIT,
    isolate: bool = True,
    isolation_bytes: int | None = None,
    aliases: Sequence[tuple[str, str]] = (),
    begun: Begun | None = None,
    note: Note | None = None,
) -> Iterator[EagerCapture]:
    """Record the eager calls of `model`, or of every outermost layer where it is None.

    name_prefix: put before every name with a slash. limit: what is kept of each tensor.
    isolation_bytes: largest sum of tensors kept for the isolating pass. begun: told each
    outermost call and its arguments before it runs. note: takes what cannot be captured, which
    else raises. Raises CaptureError for
    a tensor beyond the limit and for a glob in `select` that matches nothing.
    """
    prefix = f"{name_prefix}/" if name_prefix else ""
    recorder = CallRecorder(prefix, isolation_bytes) if isolate else None
    block = EagerCapture(model, select, prefix, limit, recorder, aliases, begun)
    observer = block if note is None else Forgiving(block, note)
    with watching(model, observer, aliases=aliases, accept=is_eager) as watch:
        block.watch, block.renamed = watch, watch.structure.renamed
        observer.watch = watch
        yield block
    block.check()
