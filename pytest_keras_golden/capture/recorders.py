"""The watchers of one capture block: of eager calls, of programs, of methods that are run twice.

What they see is put together here, call by call in the order of time, and named once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, GoldenError, StoreError
from ..records import LayerCall, Mode, ObserverEffect, OutermostCall, TensorRecord
from .backends import compiled_frames
from .examine import Against, Examined, Pooled, Returned, examine
from .record.compiled import ProgramCapture, capture_programs
from .record.eager import EagerCapture, Ended, capture_calls, policy_name, recorded_again
from .record.owned import OwnedCalls, RunFirst, owned_calls
from .reference import is_of_keras_alone, references
from .replay.recorder import CallRecorder
from .state.fingerprints import Begun, Fingerprints
from .tap.request import Request
from .watch.calls import Call, Watch

if TYPE_CHECKING:
    from ..records import Array


TRACED = "traced calls"
"""Calls in functions that were compiled, of which no number came out."""

TRAINING, UPDATES = "train_on_batch", "train_on_batch updates"
"""Weights that a step of training left and no later call of the test ran with."""


_REST = (
    "unavailable: the first batch, run eagerly, is the golden's bit for bit; what moved lies in a "
    "later one or in the compiled program"
)


@dataclass
class Recorders:
    """What was asked of a block, who records it, and what they recorded.

    model: None takes whatever is called outermost. against: the golden that the block is compared
    with while it runs; without one, everything is recorded and nothing examined. isolation:
    `complete`, or why an isolating pass against this recording is not possible. damage: why the
    golden could not be read.
    """

    model: Any | None
    request: Request
    against: Against | None = None
    prints: Fingerprints = field(init=False)
    records: list[TensorRecord] = field(default_factory=list)
    layers: list[LayerCall] = field(default_factory=list)
    pools: list[Mapping[str, Array]] = field(default_factory=list)
    examined: dict[str, Examined] = field(default_factory=dict)
    isolation: str = "complete"
    renamed: dict[str, str] = field(default_factory=dict)
    damage: StoreError | None = None
    _eager: EagerCapture = field(init=False)
    _program: ProgramCapture = field(init=False)
    _owned: OwnedCalls = field(init=False)
    _watch: Watch = field(init=False)
    _recorder: CallRecorder | None = None
    _open: Begun | None = None
    _policy: str | None = None
    _taken: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _updated: set[str] = field(default_factory=set)
    _reference_bytes: int = 0
    _hidden: int = 0

    def __post_init__(self) -> None:
        self.prints = Fingerprints(self.request.prefix, self.request.aliases)
        if self.request.isolate and (self.against is None or self.against.recording):
            self._recorder = CallRecorder(self.request.isolation_bytes)

    @contextmanager
    def watching(self) -> Iterator[Recorders]:
        """Record inside the block. Raises CaptureError on leaving for what cannot be recorded."""
        frames = compiled_frames()
        with ExitStack() as stack:
            self._eager = stack.enter_context(self._eager_capture(self._begun, self._finished))
            self._program, self._watch = stack.enter_context(
                capture_programs(self.model, self.request)
            )
            self._owned = OwnedCalls(
                self.model,
                self._program,
                self._watch,
                others=(self._eager.watch,),
                begun=self._owned_begun,
                finished=self._owned_finished,
                first=self._first_batch if self.request.isolate else None,
                note=self.request.note,
            )
            stack.enter_context(owned_calls(self._owned))
            yield self
        self.renamed = {**self._eager.renamed, **self._watch.structure.renamed}
        self._take_programs(hidden=compiled_frames() > frames)

    def _eager_capture(
        self, begun: Any, finished: Callable[[Ended], None]
    ) -> AbstractContextManager[EagerCapture]:
        return capture_calls(
            self.model,
            self.request,
            recorder=self._recorder,
            begun=begun,
            finished=finished,
        )

    # -- what was recorded ------------------------------------------------------------------

    @property
    def tensors(self) -> Mapping[str, Array]:
        """Name → array of what was recorded so far; also while the block is open."""
        found = {record.name: record.value for record in self.records}
        for record in self._program.so_far():
            found.setdefault(self.request.prefix + record.name, record.value)
        return found

    @property
    def mode(self) -> Mode:
        return self._program.mode

    @property
    def observer(self) -> ObserverEffect | None:
        return self._owned.observer

    @property
    def policy(self) -> str | None:
        return self._eager.policy or self._policy or self._program.policy

    @property
    def busy(self) -> bool:
        """Whether a call is under way that is looked into, or left alone as a whole."""
        return self._owned.is_inside or self._eager.watch.is_inside or self._watch.is_inside

    @property
    def unseen(self) -> Mapping[str, int]:
        """What ran and was not looked into, with how often: methods of models by name, and calls
        in compiled functions of which nothing can be recorded."""
        traced = self._program.traced_only + self._hidden
        return {**self._owned.unseen, TRACED: traced, UPDATES: len(self._updated)}

    # -- eager calls ------------------------------------------------------------------------

    def _begun(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._begins(policy_name(call.target))
        self._updated.discard(call.path)
        self._open = self.prints.begun(call.name, call.path, call.target, args, kwargs)

    def _finished(self, ended: Ended) -> None:
        entry = self._returned(ended.returned)
        self._taken["call"].add(entry.name)
        records, named = self._take(entry, ended.records)
        if ended.made is not None:
            with self._undamaged():
                if self._is_wanted(entry, records):
                    self._examine(ended, entry, records, named)

    def _begins(self, policy: str | None) -> None:
        self._policy = self._policy or policy
        if self.against is not None:
            self.against.begins(policy)

    # -- methods of a model -----------------------------------------------------------------

    def _owned_begun(
        self, model: Any, name: str, args: Any, kwargs: dict[str, Any], batch: int | None
    ) -> None:
        self._begins(policy_name(model))
        path = self._eager.watch.path_of(model)
        self._updated.discard(path)
        if name.startswith(TRAINING):
            self._updated.add(path)
        self._open = self.prints.begun(name, path, model, args, kwargs, batch)

    def _owned_finished(
        self,
        records: Sequence[TensorRecord],
        returned: Any,
        inputs: Mapping[str, str],
        run_first: RunFirst,
    ) -> None:
        self.prints.inputs.update({self.request.prefix + n: key for n, key in inputs.items()})
        entry = self._returned(returned)
        taken, named = self._take(entry, {record.name: record for record in records})
        with self._undamaged():
            if self.request.isolate and self._is_wanted(entry, taken):
                ended = self._first_of(entry, run_first)
                if ended is not None:
                    self._examine(ended, entry, taken, named)
                    self._see_rest(entry)

    def _see_rest(self, entry: OutermostCall) -> None:
        """Where the first batch is the golden's, isolating it says nothing of what moved."""
        found = self.examined.get(entry.name)
        if found is None or found.isolation != "complete" or found.returned:
            return
        if all(local.verdict == "identical" for local in found.locals):
            self.examined[entry.name] = Examined(entry.name, _REST)

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        """A golden that cannot be read is nothing that the code under test should hear of."""
        try:
            yield
        except StoreError as error:
            self.damage = self.damage or error

    def _first_of(self, entry: OutermostCall, run_first: RunFirst) -> Ended | None:
        """The first batch of a compiled call, run eagerly: isolation forces tensors and so needs
        eager execution."""
        try:
            ended = run_first()
        except GoldenError:
            raise
        except Exception as error:
            self._give_up(entry, f"it does not run eagerly: {type(error).__name__}: {error}")
            return None
        if ended is None:
            self._give_up(entry, "no layer was called in its first batch")
        return ended

    @contextmanager
    def _first_batch(self) -> Iterator[list[Ended]]:
        """Inside, the first outermost call that is made eagerly is recorded."""
        found: list[Ended] = []

        def finished(ended: Ended) -> None:
            found.append(ended)
            capture.watch.close()

        with self._eager_capture(None, finished) as capture:
            yield found

    def _returned(self, outputs: Any) -> OutermostCall:
        # Let go of: tests look whether models that they have dropped are gone.
        begun, self._open = self._open, None
        assert begun is not None
        return self.prints.returned(begun, outputs)

    # -- one call that has returned ---------------------------------------------------------

    def _take(
        self, entry: OutermostCall, seen: Mapping[str, TensorRecord]
    ) -> tuple[list[TensorRecord], dict[str, str]]:
        """Its tensors under names that no other of the block has."""
        named = {name: self._name("tensor", name) for name in seen}
        records = [
            replace(record, name=named[name], call=entry.name, tolerance=self.request.tolerance)
            for name, record in seen.items()
        ]
        self.records += records
        return records, named

    def _name(self, kind: str, name: str) -> str:
        """A name used before, by a method of the model and by a call of it, is counted on."""
        wanted, count = self.request.prefix + name, 0
        unused = wanted
        while unused in self._taken[kind]:
            count += 1
            unused = f"{wanted}@{count}"
        self._taken[kind].add(unused)
        return unused

    def _is_wanted(self, entry: OutermostCall, records: Sequence[TensorRecord]) -> bool:
        """Whether to look into a call: what is bit for bit the golden's needs no looking into, and
        a candidate golden has its layers from there."""
        against = self.against
        if against is None or against.recording:
            return True
        if against.golden is None:
            return self.request.asked
        if against.moved(records):
            return True
        header = against.golden.header
        same = [layer for layer in header.calls if layer.call == entry.name]
        self._taken["layer"] |= {layer.name for layer in same}
        self.layers += same
        if header.isolation != "complete":
            self._unavailable(header.isolation)
        elif against.golden.isolated and self.isolation == "complete":
            self.pools.append(Pooled(against.golden, same))
        return False

    def _examine(
        self,
        ended: Ended,
        entry: OutermostCall,
        records: Sequence[TensorRecord],
        named: Mapping[str, str],
    ) -> None:
        whole = self._with_layers(ended, entry)
        if whole is None:
            return
        layers = self._take_layers(whole, entry)
        if self.against is None:
            return
        if self.against.recording or self.against.golden is not None:
            self._add_references(ended, records, named)
        if self.against.golden is not None and self.against.moved(records):
            made = ended.made
            assert made is not None
            returned = Returned(made, entry, records, whole.records, named, layers, whole.pool)
            self.examined[entry.name] = examine(returned, self.request, self.against, self.prints)

    def _with_layers(self, ended: Ended, entry: OutermostCall) -> Ended | None:
        """With what every layer was given and returned, for which a check makes the call again;
        None where that fails, and so would an isolating pass."""
        if self._recorder is not None:
            return ended
        try:
            return recorded_again(ended, self.request)
        except CaptureError as error:
            self._give_up(entry, error.problem)
            return None

    def _take_layers(self, ended: Ended, entry: OutermostCall) -> dict[str, LayerCall]:
        layers = {
            layer.name: replace(layer, name=self._name("layer", layer.name), call=entry.name)
            for layer in ended.layers
        }
        self.layers += layers.values()
        if self.isolation == "complete":
            self.pools.append(ended.pool)
        if ended.unavailable:
            self._unavailable(f"unavailable: {ended.unavailable}")
        return layers

    def _give_up(self, entry: OutermostCall, reason: str) -> None:
        """Nothing can be said of this call's layers, now or against this recording."""
        self._unavailable(f"unavailable: {reason}")
        self.examined[entry.name] = Examined(entry.name, self.isolation)

    def _unavailable(self, why: str) -> None:
        self.isolation = why
        self.pools.clear()

    def _add_references(
        self, ended: Ended, records: Sequence[TensorRecord], named: Mapping[str, str]
    ) -> None:
        """Recompute tensors in higher precision, for the three-way rule, while there is room."""
        made, limit = ended.made, self.request.isolation_bytes
        if made is None or not (self.request.asked or is_of_keras_alone(made.target)):
            return
        seen = {name: record.name for name, record in zip(named, records, strict=True)}
        exact = references(made, records, seen, self.request)
        self._reference_bytes += sum(array.nbytes for array in exact.values())
        if limit is None or self._reference_bytes <= limit:
            self.records = [
                replace(record, reference=exact.get(record.name, record.reference))
                for record in self.records
            ]

    # -- programs ---------------------------------------------------------------------------

    def _take_programs(self, hidden: bool) -> None:
        """Of functions that the test compiled itself; nobody can say what their layers did."""
        if hidden:
            self._hidden = max(1, len(self._taken["call"]))
            self.records = []
            if self.model is not None:
                raise CaptureError(
                    "torch.compile compiled a function inside the capture block: watching its "
                    "layers splits what it fuses, so the tensors would not be those of the "
                    "compiled run",
                    "Capture the uncompiled model, or check what the compiled one returns: "
                    "golden_tensors.check('logits', compiled(x)).",
                )
            return
        named = {
            name: self._take_program(name, path, target)
            for name, path, target in self._program.outermost
        }
        for place, key in self._program.inputs.items():
            name, bracket, rest = place.partition("[")
            self.prints.inputs[f"{named.get(name, name)}{bracket}{rest}"] = key
        for record in self._program.records:
            entry = OutermostCall(named.get(record.call, record.call))
            self._take(entry, {record.name: record})

    def _take_program(self, name: str, path: str, target: Any | None) -> str:
        """An entry of its own for an outermost call inside a program, and its name."""
        if target is not None:
            self.prints.take_weights(path, target)
        entry = OutermostCall(self._name("call", name), self.request.prefix + path)
        self.prints.outermost.append(entry)
        self._give_up(entry, "the test compiled the call itself")
        return entry.name
