"""The watchers of one capture block: of eager calls, of programs, of methods that are run twice.

What they see is put together here, call by call in the order of time, and named once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, GoldenError, StoreError
from ..outcomes import RAISED, TRACED, UPDATES
from ..records import Mode, ObserverEffect, OutermostCall, TensorRecord
from .backends import compiled_frames, torch_steps
from .examine import Against, Examined
from .findings import Findings
from .record.again import NotAgain
from .record.compiled import ProgramCapture, capture_programs
from .record.eager import EagerCapture, Ended, capture_calls, policy_name
from .record.loops import RunFirst
from .record.methods import TRAINING, shuffles
from .record.owned import OwnedCalls, owned_calls
from .replay.recorder import CallRecorder
from .state.fingerprints import Begun, Fingerprints
from .tap.precision import is_eager
from .tap.request import Request
from .train.doors import Doors, doors
from .train.training import Training
from .trained import Trained
from .watch.calls import Call, CallSite, Watch, places
from .watch.forgiving import problem

if TYPE_CHECKING:
    from ..records import Array


_REST = (
    "unavailable: the first batch, run eagerly, is the golden's bit for bit; what moved lies in a "
    "later one or in the compiled program"
)


@dataclass
class Watchers:
    """What was asked of a block, and who records it; `findings` is what they saw.

    model: None takes whatever is called outermost. damage: why the golden could not be read.
    """

    model: Any | None
    request: Request
    against: Against | None = None
    prints: Fingerprints = field(init=False)
    findings: Findings = field(init=False)
    renamed: dict[str, str] = field(default_factory=dict)
    damage: StoreError | None = None
    _eager: EagerCapture = field(init=False)
    _program: ProgramCapture = field(init=False)
    _owned: OwnedCalls = field(init=False)
    _watch: Watch = field(init=False)
    _training: Training = field(init=False)
    _doors: Doors = field(init=False)
    _trained: Trained = field(init=False)
    _recorder: CallRecorder | None = None
    _open: Begun | None = None
    _policy: str | None = None
    _updated: set[str] = field(default_factory=set)
    _hidden: int = 0

    def __post_init__(self) -> None:
        self.prints = Fingerprints(self.request.prefix, self.request.aliases)
        self.prints.adopted = self._adopted
        if self.request.isolate and (self.against is None or self.against.recording):
            self._recorder = CallRecorder(self.request.isolation_bytes)
        ahead = self._recorder is not None
        self.findings = Findings(self.request, self.against, self.prints, ahead)

    @contextmanager
    def watching(self) -> Iterator[Watchers]:
        """Record inside the block. Raises CaptureError on leaving for what cannot be recorded."""
        frames = compiled_frames()
        with ExitStack() as stack:
            at = places()
            self._eager = stack.enter_context(self._eager_capture(self._begun, self._finished, at))
            self._program, self._watch = stack.enter_context(
                capture_programs(self.model, self.request, at)
            )
            self._trained = self._watch_training(stack)
            self._owned = OwnedCalls(
                self.model,
                self._program,
                self._watch,
                others=(self._eager.watch,),
                begun=self._owned_begun,
                finished=self._owned_finished,
                first=self._first_batch if self.request.isolate else None,
                training=self._trained if self._training.asks else None,
                note=self.request.note,
                recorded=self.request.recorded,
                unchanged=self._unchanged,
            )
            stack.enter_context(owned_calls(self._owned))
            yield self
            self._trained.rest()
        self.renamed = {**self._eager.renamed, **self._watch.structure.renamed}
        self._take_programs(hidden=compiled_frames() > frames)

    def _watch_training(self, stack: ExitStack) -> Trained:
        """Steps of a model's own methods, which `OwnedCalls` sees, and of loops by hand."""
        self._doors = stack.enter_context(doors())
        self._training = Training(self.request, self._doors, self._unchanged)
        stack.callback(self._training.close)
        structures = (self._eager.watch.structure, self._watch.structure)
        own, path_of = self.model is not None, self._eager.watch.path_of
        trained = Trained(
            self.request, self.findings, self.against, self._training, structures, own, path_of
        )
        if self._training.asks:
            stack.enter_context(self._doors.listening(trained.hand))
            stack.enter_context(torch_steps(trained.hand.torch_begins, trained.hand.torch_stepped))
        return trained

    def _eager_capture(
        self, begun: Any, finished: Callable[[Ended], None], at: Sequence[CallSite] | None = None
    ) -> AbstractContextManager[EagerCapture]:
        return capture_calls(
            self.model,
            self.request,
            recorder=self._recorder,
            begun=begun,
            finished=finished,
            at=at,
        )

    # -- what was recorded ------------------------------------------------------------------

    @property
    def tensors(self) -> Mapping[str, Array]:
        """Name → array of what was recorded so far; also while the block is open."""
        arrays = {record.name: record.value for record in self.findings.records}
        for record in self._program.so_far():
            arrays.setdefault(self.request.prefix + record.name, record.value)
        return arrays

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
        inside = self._owned.is_inside or self._eager.watch.is_inside or self._watch.is_inside
        return inside or self._doors.is_inside

    @property
    def unseen(self) -> Mapping[str, int]:
        """What ran and was not looked into, with how often: methods of models by name, calls in
        compiled functions of which nothing can be recorded, and calls that raised."""
        traced = self._program.traced_only + self._hidden
        return {
            **self._owned.unseen,
            **self._trained.missed,
            TRACED: traced,
            UPDATES: len(self._updated),
            RAISED: self._eager.raised + self._owned.raised + self._doors.raised,
        }

    def _adopted(self, above: str) -> Iterator[tuple[str, Any]]:
        for watch in (self._eager.watch, self._watch):
            yield from watch.structure.adopted(above)

    # -- eager calls ------------------------------------------------------------------------

    def _begun(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._begins(policy_name(call.target))
        self._updated.discard(call.path)
        self._open = self.prints.begun(call.name, call.path, call.target, args, kwargs)

    def _finished(self, ended: Ended) -> None:
        entry = self._returned(ended.returned)
        self.findings.taken["call"].add(entry.name)
        if not ended.records and not is_eager((ended.returned,), {}):
            # Given numbers alone, with weights of a program that is being traced.
            self._hidden += 1
        records, named = self.findings.take(entry, ended.records)
        if ended.made is not None:
            with self._examining(entry):
                if self.findings.is_wanted(entry, records):
                    self.findings.examine(ended, entry, records, named)

    def _begins(self, policy: str | None) -> None:
        self._trained.programs_ran()
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
        if name.startswith(TRAINING) and not self._training.asks:
            self._updated.add(path)
        shuffled = shuffles(name, args, kwargs)
        self._open = self.prints.begun(name, path, model, args, kwargs, batch, shuffled)

    def _owned_finished(
        self,
        records: Sequence[TensorRecord],
        returned: Any,
        inputs: Mapping[str, str],
        run_first: RunFirst,
    ) -> None:
        self.prints.inputs.update({self.request.prefix + n: key for n, key in inputs.items()})
        begun = self._open
        assert begun is not None
        trains = begun.name.startswith(TRAINING) and self._training.asks
        made = [returned, [record.value for record in records]] if trains else returned
        entry = self._returned(made)
        taken, named = self.findings.take(entry, {record.name: record for record in records})
        self.findings.ran([*self._training.programs(), *self._owned.programs], named)
        self._owned.programs = ()
        if trains and begun.name.startswith("train_on_batch"):
            self._trained.stepped_by_batch(entry, begun.target)
        with self._examining(entry):
            if self.request.isolate and self.findings.is_wanted(entry, taken):
                ended = self._first_of(entry, run_first)
                if ended is not None:
                    self.findings.examine(ended, entry, taken, named)
                self._trained.look_into(entry, taken, begun.target)
                self._see_rest(entry)

    def _unchanged(self, name: str, digest: str) -> Sequence[TensorRecord] | None:
        try:
            return self.findings.unchanged(name, digest)
        except StoreError as error:
            self.damage = self.damage or error
            return None

    def _see_rest(self, entry: OutermostCall) -> None:
        """Where the first batch is the golden's, isolating it says nothing of what moved."""
        examined = self.findings.examined.get(entry.name)
        if examined is None or examined.isolation != "complete" or examined.returned:
            return
        if all(local.verdict == "identical" for local in examined.locals):
            self.findings.examined[entry.name] = Examined(entry.name, _REST)

    @contextmanager
    def _examining(self, entry: OutermostCall) -> Iterator[None]:
        """A golden that cannot be read is nothing that the code under test should hear of; what
        else breaks an examination off is why there is none."""
        try:
            yield
        except StoreError as error:
            self.damage = self.damage or error
        except Exception as error:
            self.findings.give_up(entry, problem(error))
            raise

    def _first_of(self, entry: OutermostCall, run_first: RunFirst) -> Ended | None:
        """The first batch of a compiled call, run eagerly: isolation forces tensors and so needs
        eager execution."""
        try:
            ended = run_first()
        except GoldenError:
            raise
        except NotAgain as why:
            self.findings.give_up(entry, str(why))
            return None
        except Exception as error:
            self.findings.give_up(
                entry, f"it does not run eagerly: {type(error).__name__}: {error}"
            )
            return None
        if ended is None:
            self.findings.give_up(entry, "no layer was called in its first batch")
        return ended

    @contextmanager
    def _first_batch(self) -> Iterator[list[Ended]]:
        """Inside, the first outermost call that is made eagerly is recorded."""
        ended_calls: list[Ended] = []

        def finished(ended: Ended) -> None:
            ended_calls.append(ended)
            capture.watch.close()

        with self._eager_capture(None, finished) as capture:
            yield ended_calls

    def _returned(self, outputs: Any) -> OutermostCall:
        # Let go of: tests look whether models that they have dropped are gone.
        begun, self._open = self._open, None
        assert begun is not None
        return self.prints.returned(begun, outputs)

    # -- programs ---------------------------------------------------------------------------

    def _take_programs(self, hidden: bool) -> None:
        """Of functions that the test compiled itself; nobody can say what their layers did."""
        if hidden:
            self._hidden = max(1, len(self.findings.taken["call"]))
            self.findings.records = []
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
            self.findings.take(entry, {record.name: record})

    def _take_program(self, name: str, path: str, target: Any | None) -> str:
        """An entry of its own for an outermost call inside a program, and its name."""
        if target is not None:
            self.prints.take_weights(path, target)
        entry = OutermostCall(self.findings.name("call", name), self.request.prefix + path)
        self.prints.outermost.append(entry)
        self.findings.give_up(entry, "the test compiled the call itself")
        return entry.name
