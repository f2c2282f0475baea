"""Capture in compiled programs: tensors that a traced model hands over when its program runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CaptureError
from ...records import Kind, Mode, TensorRecord
from ...store.digest import digest
from ..backends import is_batched, is_concrete, is_sealed, is_traced, to_numpy, trace_level
from ..state.weights import named_inputs
from ..tap.limit import NO_LIMIT, Limit
from ..tap.precision import tensors_of
from ..tap.request import Request
from ..tap.select import Selection
from ..tap.taps import Tap, Taps
from ..watch.calls import Call, CallSite, Watch, watching
from ..watch.forgiving import Forgiving, Note
from ..watch.patches import Run
from .eager import policy_name
from .reads import Reads

if TYPE_CHECKING:
    from ...records import Array


@dataclass
class Handover:
    """One tap of a program and what its runs handed over; `kept` makes of it what is recorded."""

    tap: Tap
    kind: Kind
    kept: Callable[[Array], Array]
    values: list[Array] = field(default_factory=list)
    _parts: list[list[Array]] = field(default_factory=list)

    def restart(self, tap: Tap) -> None:
        self.tap = tap
        self._parts = [[] for _ in tap.tensors]

    def receiver(self, position: int) -> Callable[[Array], None]:
        parts, compute, kept = self._parts, self.tap.compute, self.kept

        def receive(array: Array) -> None:
            parts[position].append(array)
            if all(parts):
                self.values.append(kept(compute(*[part.pop(0) for part in parts])))

        return receive

    def record(self, name: str, join: bool) -> TensorRecord:
        tap, value = self.tap, _joined(name, self.values, join)
        return TensorRecord(
            name,
            value,
            kind=self.kind,
            precision=tap.precision,
            source=tap.source,
            call=tap.call,
        )


class ProgramSink:
    """Takes taps of eager and traced calls. `slots` keeps the order in which they were traced.

    limit: what is kept of a tensor; a larger one raises CaptureError.
    """

    def __init__(self, limit: Limit = NO_LIMIT) -> None:
        self.reads = Reads()
        self.slots: dict[str, Handover] = {}
        self._taken: set[str] = set()
        self.limit = limit

    def restart(self) -> None:
        """What is traced from here on is the same step again, for another batch, say."""
        self._taken.clear()

    def take(self, tap: Tap) -> None:
        name = tap.name
        if name in self._taken:
            return
        self._taken.add(name)
        slot = self.slots.setdefault(name, Handover(tap, tap.kind, partial(self.limit.kept, name)))
        slot.restart(tap)
        for position, tensor in enumerate(tap.tensors):
            self.reads.read(tensor, slot.receiver(position))

    def relabel(self, name: str, kind: Kind) -> None:
        slot = self.slots.get(name)
        if slot is not None:
            slot.kind = kind

    def keep(self, tensor: Any) -> Any:
        # Torch and numpy code may write into the tensor before the model returns.
        mutable = type(tensor).__module__.partition(".")[0] in ("torch", "numpy", "keras")
        return to_numpy(tensor) if mutable else tensor

    def records(self, join: bool) -> list[TensorRecord]:
        """What was handed over, in order; the batches of one call joined along the first axis.

        Raises CaptureError where a program ran more than once and `join` is False.
        """
        return [slot.record(name, join) for name, slot in self.slots.items() if slot.values]

    def forget(self) -> None:
        """Begin anew with empty slots, which programs go on filling."""
        self.restart()
        for slot in self.slots.values():
            slot.values.clear()


def _joined(name: str, values: Sequence[Array], join: bool) -> Array:
    if len(values) == 1:
        return values[0]
    if not join:
        raise CaptureError(
            f"{name}: the compiled function ran {len(values)} times inside one capture block",
            "Give each run its own block, or warm the function up after the block.",
        )
    return np.concatenate(values) if values[0].ndim else np.stack(values)


class ProgramCapture:
    """Observer of traced calls, and of the eager ones of a call that the plugin repeats.

    records: filled by `finish`, of functions that the test compiled. inputs: place → digest of
    what they were given. policy: of the first layer called outermost.
    """

    def __init__(self, select: Sequence[str], *, limit: Limit = NO_LIMIT) -> None:
        self.sink = ProgramSink(limit)
        self.selection = Selection(select)
        self.taps = Taps(self.sink, self.selection)
        self.records: list[TensorRecord] = []
        self.inputs: dict[str, str] = {}
        self.policy: str | None = None
        self.admits_eager = False
        self.reads_inputs = True
        self._outermost: dict[str, tuple[str, weakref.ref[Any]]] = {}
        self._level: Any = None
        self._open = False
        self._sealed = 0

    @property
    def seen(self) -> int:
        return self.taps.seen

    @property
    def mode(self) -> Mode:
        return "compiled" if self.sink.reads.traced else "eager"

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not call.outermost:
            return self.taps.around(call, run, args, kwargs)
        self._begin(call, args, kwargs)
        self._open, self._level = True, trace_level()
        try:
            return self.taps.around(call, run, args, kwargs)
        finally:
            self._open, self._level = False, None

    def _begin(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.policy = self.policy or policy_name(call.target)
        if self.reads_inputs:
            self._outermost.setdefault(call.name, (call.path, weakref.ref(call.target)))
            for place, tensor in named_inputs(args, kwargs).items():
                self._read_input(f"{call.name}{place}", tensor)

    def _read_input(self, name: str, tensor: Any) -> None:
        def receive(array: Array) -> None:
            self.inputs[name] = digest(array)

        self.sink.reads.read(tensor, receive)

    def accept(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether to see a call: at the level of the outermost one, which must be traced."""
        if self._open:
            return bool(trace_level() == self._level)
        tensors = tensors_of([args, kwargs])
        if all(is_concrete(tensor) for tensor in tensors):
            return self.admits_eager
        if not all(is_traced(tensor) or is_concrete(tensor) for tensor in tensors):
            self._sealed += any(map(is_batched, tensors))
            return False
        if is_sealed():
            self._sealed += 1
            return False
        return True

    @contextmanager
    def owned(self, *, eager: bool) -> Iterator[None]:
        """Inside, calls are the plugin's own; eager ones count where no program is traced."""
        self.admits_eager, self.reads_inputs = eager, False
        try:
            yield
        finally:
            self.admits_eager, self.reads_inputs = False, True

    def collect(self, join: bool = False) -> list[TensorRecord]:
        """What programs handed over since the last time. Raises what went wrong inside them."""
        self.sink.reads.settle()
        records = self.sink.records(join)
        self.sink.forget()
        return records

    @property
    def outermost(self) -> list[tuple[str, str, Any]]:
        """Name, path and layer (None: it is gone) of the outermost calls inside functions that the
        test compiled, of which something was recorded."""
        ran = self._ran()
        return [
            (name, path, layer()) for name, (path, layer) in self._outermost.items() if name in ran
        ]

    @property
    def traced_only(self) -> int:
        """How many outermost calls were traced, and no number of theirs came out: in a data
        pipeline, in a function that nobody ran, for export, in a `vmap`, or while jax guards
        traces."""
        return len(self._outermost.keys() - self._ran()) + self._sealed

    def _ran(self) -> set[str]:
        return {record.call for record in self.records}

    def so_far(self) -> list[TensorRecord]:
        """Records up to now; of programs too that have run."""
        self.sink.reads.settle()
        return [*self.records, *self.sink.records(join=True)]

    def finish(self, note: Note | None = None) -> None:
        """note: takes why nothing of the programs can be recorded, which else raises."""
        try:
            self.records += self.collect()
        except CaptureError as error:
            if note is None:
                raise
            self.sink.forget()
            note(error.problem)


@contextmanager
def capture_programs(
    model: Any | None, request: Request, at: Sequence[CallSite] | None = None
) -> Iterator[tuple[ProgramCapture, Watch]]:
    """Record what calls of `model` compute in functions that are traced and run inside the block.

    A function compiled before the block is not seen. Raises CaptureError for a function that ran
    twice, and for what went wrong while it ran. at: see `watching`.
    """
    capture = ProgramCapture(request.select, limit=request.limit)
    try:
        note = request.note
        observer = capture if note is None else Forgiving(capture, note)
        accept = capture.accept
        with watching(model, observer, aliases=request.aliases, accept=accept, at=at) as watch:
            if isinstance(observer, Forgiving):
                observer.watch = watch
            yield capture, watch
        capture.finish(note)
        if capture.seen:
            capture.selection.check()
    finally:
        capture.sink.reads.close()


def replaced_outputs(
    records: Sequence[TensorRecord], captured: Mapping[str, Array], plain: Mapping[str, Array]
) -> list[TensorRecord]:
    """Records that are outputs of the captured run, with the plain run's numbers in their place."""
    return [_plain(record, captured, plain) for record in records]


def _plain(
    record: TensorRecord, captured: Mapping[str, Array], plain: Mapping[str, Array]
) -> TensorRecord:
    wanted = digest(record.value)
    for place, array in captured.items():
        if array.shape == record.value.shape and digest(array) == wanted:
            return replace(record, value=plain[place])
    return record
