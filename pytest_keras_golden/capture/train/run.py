"""One call of `fit`, `evaluate` or a method for one batch, watched from step to step.

Between the steps the host reads what they left: weights, slots, metrics. Only what never leaves a
step is handed over from inside of it: gradients, and the parts of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...aliases import canonical
from ...errors import CaptureError
from ..backends import active, is_concrete, is_tensor, retaken, shapes_of, to_numpy, untraced
from ..backends.nest import exchanged, flatten
from ..record.beside import SecondRun, are_same
from ..record.identity import Execution, Identity, Unchanged, told
from ..record.outlet import Outlets, returns_each_step
from ..record.reads import Reads
from ..replay.losses import METRICS, is_replayed
from ..state.models import ModelState, instance_attribute
from ..state.slots import optimizers_of
from ..tap.precision import is_numeric
from ..watch.calls import counted
from ..watch.structure import joined, walk
from ..watch.unnoticed import unnoticed
from .doors import Onlooker
from .left import Left, changes_gradients, plain_place, values_of
from .programs import Programs, Watched
from .relay import Relay, goes_on
from .roster import Roster, Values, arithmetic_of, precision_of, read, roster_of
from .standins import are_alike, before_each, telling
from .steps import StepRecorder

if TYPE_CHECKING:
    from ...records import Array, ObserverEffect

PHASES = {"train": "", "test": "test_"}
"""Step of a model → how the names of its tensors begin."""

_TENSOR = np.empty(0)
"""Stands for a tensor in the form of a step's data."""


class TakesData(Protocol):
    """Takes in what steps are given."""

    def has_form(self, data: Any) -> None: ...
    def take(self, place: str, array: Array) -> None: ...
    def failed(self, error: CaptureError) -> None: ...


@dataclass
class ModelRun(Onlooker):
    """What a model's own steps are told of and read by. Implements `doors.StepListener`.

    recorder: of a phase, made when its first step begins. initial: told the weights that the
    first step began with. live: whether steps may be asked for what never leaves them. twice:
    whether programs run unwatched for the test; undisturbed: whether that made no difference.
    asked: whether the test names the model.
    started: steps that ran, by kind. left: weights after the last step that was recorded. built:
    told that the model has the weights that its first step will begin with, if it had none before.
    given: takes the data of each step that runs. call: its name. recorded: in words,
    how steps are. outside: whether of a step that is recorded only what it left was seen.
    unchanged: what the golden has of a run that need not be watched again, by name
    and digest; None where that has to be.
    """

    model: Any
    path: str
    aliases: Sequence[tuple[str, str]]
    reads: Reads
    recorder: Callable[[str, Roster], StepRecorder]
    initial: Callable[[Mapping[str, Array]], None]
    live: bool = True
    twice: bool = False
    asked: bool = False
    undisturbed: bool = True
    started: dict[str, int] = field(default_factory=dict)
    left: Mapping[str, Array] = field(default_factory=dict)
    built: Callable[[], None] = field(default=lambda: None)
    given: TakesData | None = None
    call: str = ""
    recorded: str = ""
    unchanged: Unchanged = field(default=lambda name, digest: None)
    outside: bool = False
    _running: bool = False
    _relay: Relay = field(default_factory=Relay)
    _relays: ExitStack = field(default_factory=ExitStack)
    _awaited: bool = False
    _phase: str = "train"
    _roster: Roster | None = None
    _before: Mapping[str, Array] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    _optimizers: Mapping[str, Any] = field(default_factory=dict)
    _optimizer: Any = None
    _identity: Identity = field(init=False)
    _stands: bool = False
    _ran_twice: bool = False

    def __post_init__(self) -> None:
        self._identity = Identity(self.model, self.recorded)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Inside, the steps of the model are watched."""
        self._optimizers = optimizers_of(self.model)
        with ExitStack() as stack, self._relays:
            for step in PHASES:
                if hasattr(self.model, f"make_{step}_function"):
                    stack.enter_context(self._programs(step).watched())
            if self.live and hasattr(self.model, "compute_loss"):
                loss = telling(self.model.compute_loss, self._total)
                stack.enter_context(instance_attribute(self.model, "compute_loss", loss))
            yield

    def _programs(self, step: str) -> Programs:
        model, name = self.model, f"{step}_step"
        if not self.live:
            return Programs(self, model, step, self.twice, nullcontext, None)
        outlets = Outlets(self.reads) if returns_each_step(model, step) else None
        watched = before_each(getattr(model, name), lambda data: self.begin(step, data))
        leaving = watched if outlets is None else outlets.around(watched)

        def standing() -> AbstractContextManager[None]:
            return instance_attribute(model, name, leaving)

        return Programs(self, model, step, self.twice, standing, outlets, relays=goes_on())

    def begins(self) -> None:
        if not self.started:
            with self._safely():
                self.built()

    # -- on the host, around each execution -------------------------------------------------

    def execute(self, step: str, function: Watched, args: tuple[Any, ...]) -> Any:
        """One execution of a step's function, which is one step or several."""
        __tracebackhide__ = True
        outer, self._phase, self._stands = self._phase, step, False
        self._hear(function.relay)
        with self._safely():
            self._look(args)
        try:
            returned = self._executed(function, args)
            with self._safely():
                self._take(step, returned)
        except BaseException:
            with self._safely():
                self._recorder().abandon()
            raise
        finally:
            self._phase = outer
        return returned

    def _hear(self, relay: Relay | None) -> None:
        """From now on, what the function of this relay hands over comes here."""
        self._relay = relay or self._relay
        if self._relay.run is not self:
            self._relays.enter_context(self._relay.told_to(self))
        self._relay.heard, self._names = False, {}

    def _executed(self, function: Watched, args: tuple[Any, ...]) -> Any:
        __tracebackhide__ = True
        if function.plain is None:
            return self._watched(function, args)
        if not self._recorder().open:
            return function.plain(*args)
        if goes_on():
            return self._in_place(function.plain, function, *args)
        # What the first run is given it may use up.
        (state, data), again = SecondRun.of(args)
        shapes = shapes_of(state)
        returned = function.plain(state, data)
        with self._safely():
            self._stands = self._is_known(function, shapes, again, returned)
        if not self._stands:
            with self._beside(function):
                watched = self._watched(function, again.args())
                self._compare(function, (returned[0], watched[0]), are_same(returned, watched))
        return returned

    @contextmanager
    def _beside(self, function: Watched) -> Iterator[None]:
        """Inside, a step runs once more. What Keras made earlier may run on where the model, as it
        is now, makes no step."""
        self._ran_twice = True
        try:
            with unnoticed(self.model):
                yield
        except Exception as error:
            if function.earlier:
                self._see_nothing()
            else:
                self.failure = self.failure or error

    def _compare(self, function: Watched, logs: tuple[Any, Any], same: bool) -> None:
        """logs: of both runs. What Keras made earlier may be another program altogether."""
        if function.earlier and not same and not are_alike(*logs):
            self._see_nothing()
        else:
            self.undisturbed &= same

    def _see_nothing(self) -> None:
        """What was read of the step's inside is not what ran for the test."""
        self._recorder().abandon()
        self._relay.heard = False

    def _in_place(self, plain: Callable[..., Any], function: Watched, data: Any) -> Any:
        """TensorFlow's variables are written where they are, and its steps take their data."""
        __tracebackhide__ = True
        batches = retaken(data)
        if batches is None:
            return plain(data)
        before = ModelState(self.model)
        with before.with_slots():
            returned = plain(batches())
        with self._beside(function):
            after = ModelState(self.model)
            before.restore()
            try:
                again = self._watched(function, (batches(),))
                same = are_same(returned, again) and after.equals(ModelState(self.model))
            finally:
                after.restore()
            self._compare(function, (returned, again), same)
        return returned

    def _is_known(self, function: Watched, shapes: Any, again: SecondRun, returned: Any) -> bool:
        """Whether the golden has all of this step, since it was the same one."""
        if function.outlets is None or again.batch is None or not self.recorded:
            return False
        self._roster = roster = roster_of(self.model, self.path, self.aliases)
        (logs, after), names = returned, roster.names
        step = Execution(function.plain, shapes, again.batch, logs)
        key = self._identity.of([step], told(again.state), after, names)
        if key is None:
            return False
        name = f"{self.call} {self._phase} {self._recorder().done}"
        known = self.unchanged(name, key)
        self._recorder().ran(name, key, known)
        if known is not None:
            self._give(again.batch)
        return known is not None

    def _watched(self, function: Watched, args: tuple[Any, ...]) -> Any:
        __tracebackhide__ = True
        # Behind the recorded steps, what an eager one computes would come to the host for nothing.
        with self._told() if self._recorder().open or goes_on() else nullcontext():
            returned, beside = function.watched(args)
            with self._safely():
                for value, receive in beside if self._recorder().open else ():
                    receive(to_numpy(value))
        return returned

    @contextmanager
    def _told(self) -> Iterator[None]:
        self._running = True
        try:
            yield
        finally:
            self._running = False

    def _look(self, args: tuple[Any, ...]) -> None:
        recorder = self._recorder()
        if recorder.open and self._phase == "train":
            # Anew before each step: what callbacks write between steps is no update.
            self._before = read(self.roster.weights, self._values(args))
        if not self.started:
            self.initial(self._before or read(self.roster.weights, self._values(args)))

    def _take(self, step: str, returned: Any) -> None:
        recorder = self._recorder()
        self.reads.settle()
        self._see_awaited()
        self.outside |= recorder.open and not (self._stands or self._relay.heard)
        was_open = recorder.open
        self.started[step] = self.started.get(step, 0) + recorder.advance()
        if self._stands and self._phase == "train":
            self.left = read(self.roster.weights, self._values((returned[1],)))
        elif was_open and not self._stands:
            self._read(recorder, returned)

    @property
    def observer(self) -> ObserverEffect | None:
        """None where no step ran twice."""
        if not self._ran_twice or not self.live:
            return None
        return "identical" if self.undisturbed else "changed"

    @property
    def roster(self) -> Roster:
        self._roster = self._roster or roster_of(self.model, self.path, self.aliases)
        return self._roster

    def _recorder(self) -> StepRecorder:
        return self.recorder(PHASES[self._phase], self.roster)

    def _read(self, recorder: StepRecorder, returned: Any) -> None:
        jax = active() == "jax"
        logs, values = returned if jax else (returned, None)
        values = self._values((values,)) if jax else {}
        # Metrics and optimizers make their variables in the first step at the latest.
        self._roster = roster = roster_of(self.model, self.path, self.aliases)
        left = Left(self.model, roster, values)
        left.take_metrics(recorder, logs)
        if self._phase == "train":
            self.left = left.take_updates(recorder, self._before)

    def _values(self, args: tuple[Any, ...]) -> Values:
        return values_of(self.model, self._phase, args)

    # -- inside a step ----------------------------------------------------------------------

    def begin(self, step: str, data: Any) -> None:
        if not self._running:
            return
        self._phase, self._names = step, {}
        with self._safely():
            self._give(data)
            for place, leaf in flatten(data):
                self._part("data", plain_place(place), leaf)

    def _give(self, data: Any) -> None:
        if self.given is None:
            return
        self._relay.form = exchanged(data, lambda leaf: _TENSOR if is_tensor(leaf) else leaf)
        for place, leaf in flatten(data):
            if is_tensor(leaf):
                self._take_given(place, leaf)

    def _take_given(self, place: str, leaf: Any) -> None:
        def heard(run: ModelRun, array: Array) -> None:
            if run.given is not None:
                run.given.has_form(run._relay.form)
                run.given.take(place, array)

        try:
            self._relay.read(self.reads, leaf, heard)
        except CaptureError as error:
            assert self.given is not None
            self.given.failed(error)

    def _total(self, value: Any) -> None:
        with self._safely():
            self._see_weights()
            self._part("loss", "", value)

    def _see_weights(self) -> None:
        """Of a model that TensorFlow builds as it traces the first step, be it of built layers."""
        if active() != "tensorflow" or not self._running:
            return
        with untraced():
            if not self.roster.weights:
                self._roster = roster_of(self.model, self.path, self.aliases)
                self._awaited = not all(map(is_concrete, self._roster.weights.values()))
                if not self._awaited:
                    self._before = read(self._roster.weights, {})
                    self.initial(self._before)
            if not self._awaited:
                self.built()
        if self._awaited:
            self._await_weights()

    def _await_weights(self) -> None:
        """Weights that a step makes have no numbers before its program runs: it hands them over,
        since nothing has changed them yet."""
        before: dict[str, Array] = {}
        self._before = before
        for name, variable in self.roster.weights.items():
            self.reads.read(tensor_of(variable.value), partial(before.__setitem__, name))

    def _see_awaited(self) -> None:
        if self._awaited and self._before:
            self._awaited = False
            self.initial(self._before)

    def loss(self, loss: Any, value: Any, given: Mapping[str, Any]) -> None:
        with self._safely():
            name = self._counted("loss", str(loss.name))
            self._part("loss", name, value)
            if self._running and is_replayed(loss, given, self.asked):
                self._read_given(name, loss, given)

    def metric(self, metric: Any, given: Mapping[str, Any]) -> None:
        with self._safely():
            if self._running and is_replayed(metric, given, self.asked):
                name = METRICS + self._counted("metrics", str(metric.name))
                self._read_given(name, metric, given)

    def _read_given(self, name: str, of: Any, given: Mapping[str, Any]) -> None:
        """What a loss or a metric of the step is given, to run it again by itself."""
        self._relay.replayed[name] = self._recorder().replayed[name] = of
        for argument, tensor in given.items():
            self._hand_over("given", f"{name}/{argument}", tensor)

    def added(self, layer: Any, loss: Any) -> None:
        if not self._running:
            return
        with self._safely():
            name = joined("add_loss", self._path_of(layer))
            for _, leaf in flatten(loss):
                self._part("loss", self._counted("loss", name), leaf)

    def regularized(self, weights: Sequence[Any], losses: Sequence[Any]) -> None:
        if not self._running:
            return
        with self._safely():
            for weight, value in zip(weights, losses, strict=True):
                name = joined("regularization", self.roster.name_of(weight))
                self._part("loss", self._counted("loss", name), value)

    def _path_of(self, layer: Any) -> str:
        """Empty for the model itself, and for what none of its layers holds."""
        found = (path for path, below in walk(self.model, self.path) if below is layer)
        return canonical(next(found, self.path), self.aliases)

    def gradients(
        self, optimizer: Any, variables: Sequence[Any], grads: Sequence[Any], values: Values
    ) -> None:
        self._optimizer = optimizer
        with self._safely():
            self._see_weights()
            self._each("gradients", variables, grads)

    def applied(self, grads: Sequence[Any], variables: Sequence[Any], rate: Any) -> None:
        with self._safely():
            if changes_gradients(self._optimizer):
                self._each("applied", variables, grads)
            names = (name for name, one in self._optimizers.items() if one is self._optimizer)
            # A variable's own value can be handed over, the variable itself cannot.
            rate = tensor_of(getattr(rate, "value", rate))
            self._part("learning_rate", self._counted("learning_rate", next(names, "")), rate)

    def stepped(self, optimizer: Any, values: Values) -> None:
        """What it left is read when the step has ended."""

    def _part(self, part: str, name: str, value: Any) -> None:
        # Between steps, callbacks of the user may train another model.
        if self._running and is_numeric(value):
            self._hand_over(part, name, value, arithmetic_of(self.model) if part == "loss" else "")

    def _hand_over(self, part: str, name: str, value: Any, precision: str = "") -> None:
        def heard(run: ModelRun, array: Array) -> None:
            recorder = run._recorder()
            if recorder.wanted(part, name):
                recorder.take(part, name, precision, array)

        # What is traced for good may be asked for by the next who watches.
        if goes_on() or self._recorder().wanted(part, name):
            self._relay.read(self.reads, value, heard)

    def _each(self, part: str, variables: Sequence[Any], grads: Sequence[Any]) -> None:
        """A step that applies gradients of one variable more than once has them counted."""
        if not self._running:
            return
        arithmetic = arithmetic_of(self.model)
        for variable, grad in zip(variables, grads, strict=False):
            if grad is not None:
                precision = precision_of(variable, arithmetic)
                name = self._counted(part, self.roster.name_of(variable))
                self._hand_over(part, name, dense(grad), precision)

    def _counted(self, part: str, name: str) -> str:
        return counted(f"{part}/{name}", self._names).partition("/")[2]


def tensor_of(rate: Any) -> Any:
    """Schedules of users may return a Python number; TensorFlow has variables of its own."""
    if isinstance(rate, (int, float)):
        return np.float32(rate)
    read = getattr(rate, "read_value", None)
    return rate if read is None else read()


def dense(grad: Any) -> Any:
    """Gradients of embeddings come as slices on TensorFlow."""
    if type(grad).__name__ != "IndexedSlices":
        return grad
    import tensorflow as tf

    return tf.convert_to_tensor(grad)
