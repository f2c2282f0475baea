"""What of training a block's watchers take in: steps of models, and steps of loops by hand.

Each step of a loop by hand is a call of its own, so that what is called after it is known to run
with weights that the step has made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..compare.calls import APPLIED
from ..compare.training import StepEvidence
from ..outcomes import is_blamed
from ..records import OutermostCall, TensorRecord
from ..store.digest import digest
from .examine import Against, Examined
from .findings import Findings
from .hand.byhand import ByHand
from .hand.handstep import HandStep
from .state.fingerprints import Begun
from .state.weights import named_weights
from .tap.request import Request
from .told import ToldParts
from .train.alone import Alone
from .train.blame import Components, blamed, components_of, is_before_losses
from .train.relay import relayed
from .train.roster import Home, Roster, arithmetic_of, precision_of, read
from .train.run import ModelRun
from .train.steps import StepRecorder
from .train.training import Training
from .watch.calls import counted
from .watch.forgiving import problem
from .watch.structure import Structure

if TYPE_CHECKING:
    from ..records import Array
    from .record.reads import Reads


@dataclass(frozen=True)
class _Last:
    """The last step of an optimizer, which is not held: tests look whether models that they have
    dropped are gone."""

    entry: OutermostCall
    recorder: StepRecorder
    made_of: Components


@dataclass
class Trained:
    """Implements `record.loops.StepWatcher` and `hand.byhand.Host`.

    structures: of every model that was called. own: whether a block is about one model alone.
    path_of: of a model that is about to be called.
    """

    request: Request
    findings: Findings
    against: Against | None
    training: Training
    structures: Sequence[Structure]
    own: bool
    path_of: Callable[[Any], str]
    hand: ByHand = field(init=False)
    _told: ToldParts = field(init=False)
    _open: Begun | None = None
    _since: int = 0
    _last: dict[int, _Last] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _programs: dict[int, OutermostCall] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hand = ByHand(self)
        self._told = ToldParts(self.findings)

    @property
    def reads(self) -> Reads:
        return self.training.reads

    @property
    def aliases(self) -> Sequence[tuple[str, str]]:
        return self.request.aliases

    @property
    def missed(self) -> Mapping[str, int]:
        """What ran in loops by hand and was not looked into, by kind."""
        return {**self.hand.missed, "losses": self.hand.losses.waiting}

    # -- steps of a model's own methods -----------------------------------------------------

    @contextmanager
    def around(self, model: Any, twice: bool = False) -> Iterator[ModelRun]:
        initial = self.findings.prints.take_initial
        with self.training.around(model, self.path_of(model), initial, twice) as run:
            yield run

    def unheard(self, model: Any, step: str) -> AbstractContextManager[None]:
        return relayed(model, step)

    def apart(self) -> AbstractContextManager[None]:
        return self.training.doors.listening(None)

    def state_of(self, model: Any, step: str) -> list[str]:
        roster, recorder = self.training.recorder_of(model, self.path_of(model), step)
        return [str(recorder.done), *roster.names]

    def stood(self, model: Any, step: str, known: Sequence[TensorRecord]) -> None:
        _, recorder = self.training.recorder_of(model, self.path_of(model), step)
        recorder.stood(known)

    def steps(self, run: ModelRun) -> int:
        return sum(run.started.values())

    def records(self, run: ModelRun, returned: Any) -> list[TensorRecord]:
        if run.failure is not None:
            raise run.failure
        return [*self.training.records(), *self.training.ends(run, returned)]

    # -- steps by hand ----------------------------------------------------------------------

    def opens(self) -> None:
        self.training.doors.open()

    def recorder(self, optimizer: Any, roster: Roster) -> StepRecorder:
        return self.training.recorder(optimizer, "", roster, lambda: {"": optimizer})

    def path_of_layer(self, layer: Any) -> str:
        return next(filter(None, (one.path(layer) for one in self.structures)), "")

    def names_of(self, weights: Sequence[Any]) -> list[str]:
        known = {
            id(held): name
            for path, root in self._roots()
            for name, held in named_weights(root, path, self.aliases).items()
        }
        return [known.get(id(weight), str(weight.path)) for weight in weights]

    def home_of(self, variables: Sequence[Any]) -> Home | None:
        """The model that holds most of them."""
        wanted = {id(variable) for variable in variables}
        best, most = None, 0
        for path, root in self._roots():
            held = sum(id(variable) in wanted for variable in named_weights(root).values())
            if held > most:
                best, most = Home(path, root), held
        return best or (None if self.own else Home())

    def held_as(self, tensors: Mapping[int, Any]) -> list[Any]:
        """Keras variables that hold these tensors."""
        found = {
            id(variable): variable
            for _, root in self._roots()
            for variable in named_weights(root).values()
            if id(getattr(variable, "_value", None)) in tensors
        }
        return list(found.values())

    def _roots(self) -> Iterator[tuple[str, Any]]:
        for structure in self.structures:
            yield from structure.roots

    def initial(self, weights: Mapping[str, Array]) -> None:
        self.findings.prints.take_initial(weights)

    def programs_ran(self) -> None:
        """Told before a call: weights that programs have trained by now are what it runs with."""
        try:
            if self.hand.traced:
                self.reads.settle()
            for recorder, path, _ in self.hand.traced.values():
                if recorder.done:
                    self._entry_of(recorder, path)
        except Exception as error:
            self.hand.failure = self.hand.failure or error

    def _entry_of(self, recorder: StepRecorder, path: str) -> OutermostCall:
        """The call that stands for the steps of a program, with what they have left by now."""
        every, known = self.findings.prints.outermost, self._programs.get(id(recorder))
        outputs = {name: digest(array) for name, (array, _) in recorder.left.items()}
        if known is None:
            name = self.request.prefix + counted(APPLIED, self._counts)
            self.findings.taken["call"].add(name)
            entry = OutermostCall(name, self.request.prefix + path, outputs=outputs)
            every.append(entry)
        else:
            entry = replace(known, outputs=outputs)
            every[next(at for at, call in enumerate(every) if call is known)] = entry
        self._programs[id(recorder)] = entry
        return entry

    def step_begins(self, home: Home, given: Mapping[str, str]) -> None:
        """given: digests of what losses were compared with. What models were called with since the
        last step decides about it as well."""
        self.programs_ran()
        prints = self.findings.prints
        name = counted(APPLIED, self._counts)
        target = self.hand if home.model is None else home.model
        self._open = prints.begun(name, home.path, target, (), {})
        calls = [call.name for call in prints.outermost[self._since :]]
        before = {
            place: key for place, key in prints.inputs.items() if place.partition("[")[0] in calls
        }
        for place, key in {**before, **given}.items():
            prints.inputs[f"{self.request.prefix}{name}[{place}]"] = key

    def step_ended(self, records: Sequence[TensorRecord], left: str, step: HandStep) -> None:
        begun, self._open = self._open, None
        assert begun is not None
        prints = self.findings.prints
        entry = replace(prints.returned(begun, ()), outputs={"": left})
        prints.outermost[-1] = entry
        self.findings.taken["call"].add(entry.name)
        self._since = len(prints.outermost)
        of = step.of
        made_of = components_of(of.home.model, step.roster.weights, of.optimizer)
        last = _Last(entry, step.recorder, made_of)
        self._last[id(step.recorder)] = last
        self._take(last, records)

    def stepped_by_batch(self, entry: OutermostCall, model: Any) -> None:
        """A method for one batch was called, as loops by hand do."""
        recorder, arithmetic = self.training.known(model.optimizer), arithmetic_of(model)
        if recorder is None or recorder.open:
            return
        weights = named_weights(model, self.path_of(model), self.aliases)
        for name, array in read(weights, {}).items():
            recorder.left[name] = array, precision_of(weights[name], arithmetic)
        self._last[id(recorder)] = _Last(entry, recorder, components_of(model, weights))

    def _take(self, last: _Last, records: Sequence[TensorRecord]) -> None:
        taken, _ = self.findings.take(last.entry, {record.name: record for record in records})
        if self.request.isolate and self.findings.may_differ(taken):
            due = last.recorder.untold
            with self.apart():
                told = self._told.optimizer(last.entry, last.recorder)
            self.blame(last.entry, [*taken, *told], last.made_of, due)

    def rest(self) -> None:
        """At the end of a block: weights that more steps made than are recorded, and the steps of
        programs. Raises CaptureError for what could not be read, where nobody notes it."""
        self.reads.settle()
        for last in self._last.values():
            self._take(last, list(self.training.left(last.recorder)))
        for recorder, path, made_of in self.hand.traced.values():
            entry = self._entry_of(recorder, path)
            records = [*recorder.records(), *self.training.left(recorder)]
            self._take(_Last(entry, recorder, made_of), records)
        if self.training.recorded:
            self._told.copy()
        failure = self.hand.failure
        if failure is not None:
            self._tell(failure)

    def _tell(self, failure: Exception) -> None:
        if self.request.note is None:
            raise failure
        self.request.note(f"{APPLIED}: {problem(failure)}")

    # -- blame ------------------------------------------------------------------------------

    def look_into(
        self,
        entry: OutermostCall,
        taken: Sequence[TensorRecord],
        model: Any,
    ) -> None:
        """Steps of a method of a model's, which moved, or of which a golden is made. taken: their
        records under the names that they have in the block."""
        known = self.training.known(getattr(model, "optimizer", None))
        due = known is not None and known.untold
        with self.apart():
            told = self._told.losses(entry, self.training.alone(model, taken))
            told += self._told.optimizer(entry, known)
        replayed = self.training.replayed(model)
        weights = named_weights(model, self.path_of(model), self.aliases)
        self.blame(entry, [*taken, *told], components_of(model, weights), due, replayed)

    def blame(
        self,
        entry: OutermostCall,
        records: Sequence[TensorRecord],
        made_of: Components,
        due: bool,
        replayed: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Which component of a training step moved first, beside its layers, and which give other
        numbers by themselves. due: whether the optimizer was to be run so for this call. replayed:
        losses and metrics that can be, by name."""
        against, findings = self.against, self.findings
        if against is None or against.golden is None or not self.training.asks:
            return
        if against.differs(entry, findings.prints) is not None:
            return
        examined = findings.examined.get(entry.name) or Examined(entry.name)
        # The loss of a loop by hand comes from calls before it.
        by_hand = entry.name.removeprefix(self.request.prefix).startswith(APPLIED)
        every = findings.examined.values() if by_hand else (examined,)
        layers = any(is_blamed(local) for one in every for local in one.locals)
        # Of layers that nobody could look at, any may have moved the loss.
        layers = layers or examined.isolation.startswith("unavailable")
        by_themselves = Alone(against.golden, replayed, made_of, due, against.across_backends)
        with self.apart():
            found = list(by_themselves.judged(records))
        alone = [*(local for one in every for local in one.locals), *found]
        sent = max((one.sent for one in every), default=0.0)
        evidence = StepEvidence(against.golden, {r.name: r for r in records}, sent)
        first = blamed(records, against.outcome, made_of, layers, alone, evidence)
        changed = any(map(is_blamed, found))
        if first is not None and (not changed or is_before_losses(first)):
            found = [first, *(local for local in found if local.name != first.name)]
        # Steps by hand are calls, and what changed in the first changed in all.
        told = findings.examined.values() if by_hand else (examined,)
        known = {local.name for one in told for local in one.locals}
        new = [local for local in found if local.name not in known]
        unmeasured = tuple(sorted(by_themselves.unmeasured))
        if new or unmeasured:
            findings.examined[entry.name] = replace(
                examined, locals=(*examined.locals, *new), unmeasured=unmeasured
            )
