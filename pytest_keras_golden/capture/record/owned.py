"""Methods of a model that the plugin looks into: `predict` and the methods for one batch.

Watching a compiled program can change how it is fused. So what Keras compiles runs twice from the
same state, where the data can be given twice: what the plain run returned is recorded and given to
the caller, and the two are compared bit for bit. The second run is the plugin's own: nothing of the
test hears of it, neither callbacks nor the terminal. What Keras runs eagerly, and what reads a data
set or a generator, runs once and is watched at that.
`fit` and `evaluate` are another matter: `loops`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...errors import GoldenError
from ...records import ObserverEffect, TensorRecord
from ...store.digest import digest
from ..backends import is_guarded
from ..state.models import ModelState, attribute, kept, made_for_training
from ..state.weights import named_weights
from ..tap.limit import Limit
from ..watch import patches
from ..watch.calls import Watch, counted
from ..watch.forgiving import Note, Once, problem
from ..watch.patches import Run
from ..watch.unnoticed import unnoticed
from .again import Again, First, batch_of, before_each, last_argument, runs_eagerly
from .batches import Batches
from .beside import RunBeside, is_another
from .compiled import ProgramCapture, replaced_outputs
from .eager import Ended
from .identity import Executions, Identified, Identity, Unchanged
from .loops import Loop, RunFirst, StepWatcher
from .methods import LOOPS, STEP_OF, MethodCall, host, settling
from .outlet import Outlets, is_made_by_keras, returns_each_step

if TYPE_CHECKING:
    from ...records import Array

MethodBegun = Callable[[Any, str, "tuple[Any, ...]", "dict[str, Any]", "int | None"], None]
MethodFinished = Callable[[Sequence[TensorRecord], Any, Mapping[str, str], RunFirst], None]


@dataclass
class OwnedCalls:
    """Watcher of the training and inference methods of `model`, or of all where it is None.

    watch: the one behind `capture`. others: watches that must see neither run. begun: told model,
    the call's name, what it was given, and how much of it is a batch, before anything runs.
    finished: given the records of a call, what it returned, digests of what it read from a data
    set, and how to run its first batch. first: a context inside of which the first eager call is
    recorded. training: None where nobody asks for it. note: takes what cannot be captured, which
    else raises. observer: `changed` as soon as one call was. recorded, unchanged: see `identity`;
    programs: the run of the call that is finished, if it has an identity. unseen: how often each
    method ran that is not looked into. raised: how many calls ended in an exception.
    """

    model: Any | None
    capture: ProgramCapture
    watch: Watch
    others: Sequence[Watch] = ()
    begun: MethodBegun | None = None
    finished: MethodFinished | None = None
    first: First | None = None
    training: StepWatcher | None = None
    note: Note | None = None
    observer: ObserverEffect | None = None
    recorded: str = ""
    unchanged: Unchanged = field(default=lambda name, digest: None)
    programs: Sequence[Identified] = ()
    seen: int = 0
    unseen: dict[str, int] = field(default_factory=dict)
    raised: int = 0
    thread: int = field(default_factory=threading.get_ident)
    _inside: bool = False
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_inside(self) -> bool:
        """Whether such a method is running."""
        return self._inside

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        # A method that calls another one is one call.
        if self._inside or (self.model is not None and args[0] is not self.model):
            return run(*args, **kwargs)
        self._inside = True
        try:
            with self.training.apart() if self.training is not None else nullcontext():
                return self._call(MethodCall(method, run, args, kwargs))
        except Exception as error:
            self.raised += not isinstance(error, GoldenError)
            raise
        finally:
            self._inside = False

    def _unlooked(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        self._unlook(asked.method)
        with self._paused():
            return asked.run(*asked.args, **asked.kwargs)

    def _call(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        if asked.method in LOOPS and self.training is None:
            return self._unlooked(asked)
        if is_guarded() and not runs_eagerly(asked.model, asked.step):
            return self._unlooked(asked)
        self.seen += 1
        if not self._begin(asked):
            with self._paused():
                return asked.run(*asked.args, **asked.kwargs)
        if asked.method in LOOPS and self.training is not None:
            return self._loop(asked, self.training)
        if runs_eagerly(asked.model, asked.step):
            return self._forgiven(asked, self._eagerly)
        if asked.repeatable and (asked.step != "train" or made_for_training(asked.model)):
            return self._twice(asked)
        if asked.repeatable and self.training is not None:
            return self._loop(asked, self.training)
        return self._forgiven(asked, self._once)

    def _forgiven(self, asked: MethodCall, look: Callable[[MethodCall], Any]) -> Any:
        """A call that runs but once is the test's own, whatever of it cannot be captured."""
        __tracebackhide__ = True
        once = Once(asked.run)
        try:
            return look(replace(asked, run=once))
        except Exception as error:
            if self.note is None or not once.done:
                raise
            self.capture.sink.forget()
            self.note(f"{asked.method}: {problem(error)}")
        return once.returned

    def _unlook(self, method: str) -> None:
        self.unseen[method] = self.unseen.get(method, 0) + 1

    @property
    def _again(self) -> Again:
        return Again(self.first, self._paused)

    def _loop(self, asked: MethodCall, training: StepWatcher) -> Any:
        __tracebackhide__ = True
        again, finish, nothing = self._again, self._finish, self._unlook
        loop = Loop(asked, training, again, self._paused, finish, nothing, self._observe, self.note)
        return loop.run()

    def _observe(self, effect: ObserverEffect | None) -> None:
        if self.observer != "changed":
            self.observer = effect or self.observer

    def _begin(self, asked: MethodCall) -> bool:
        """Whether the call can be captured, as far as its arguments tell."""
        asked.name = counted(asked.method, self._counts)
        try:
            if self.begun is not None:
                given, named = asked.given
                batch = asked.batch_size if asked.cuts else None
                self.begun(asked.model, asked.name, given, named, batch)
        except GoldenError as error:
            if self.note is None:
                raise
            self.note(f"{asked.method}: {problem(error)}")
            return False
        return True

    # -- once -------------------------------------------------------------------------------

    def _eagerly(self, asked: MethodCall) -> Any:
        """Keras runs the steps without compiling them, so watching changes no number."""
        __tracebackhide__ = True
        before = ModelState(asked.model) if asked.step == "train" else None
        ended: list[Ended] = []
        with self._first(ended):
            returned, records, batches = self._captured(asked, asked.kwargs)

        def run_first() -> Ended | None:
            if before is not None:
                before.restore()
            return ended[0] if ended else None

        with kept(asked.model) if before is not None else nullcontext():
            self._finish(asked, records, returned, batches.digests_of(asked.repeatable), run_first)
        return returned

    def _once(self, asked: MethodCall) -> Any:
        """Data that can be read only once, in a compiled program: nobody knows what watching
        changed."""
        __tracebackhide__ = True
        before = ModelState(asked.model)
        goes_on = asked.step == "predict" and is_made_by_keras(asked.model, asked.step)
        look = self._beside if goes_on else self._captured
        returned, records, batches = look(asked, asked.kwargs)

        def run_first() -> Ended | None:
            with before.around():
                return self._again.run(asked, batches.first())

        with kept(asked.model):
            self._finish(asked, records, returned, batches.digests_of(asked.repeatable), run_first)
        return returned

    # -- twice ------------------------------------------------------------------------------

    def _twice(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        model, ran = asked.model, Executions()
        before, earlier = ModelState(model), _is_made(asked)
        names = self._names_of(asked)
        with self._paused(), self._unheard(asked), self._noted(asked, ran), before.with_slots():
            plain = asked.run(*asked.args, **asked.kwargs)

        def run_first() -> Ended | None:
            with before.around():
                return self._again.run(asked, batch_of(asked))

        try:
            known = self._known(asked, ran, names)
            if known is None:
                self._watch_again(asked, before, plain, earlier, run_first)
            else:
                self._stand(asked, known)
                self._finish(asked, known, plain, {}, run_first)
        except Exception as error:
            if self.note is None:
                raise
            self.capture.sink.forget()
            self.note(f"{asked.method}, run again to be captured: {problem(error)}")
        return plain

    def _stand(self, asked: MethodCall, known: Sequence[TensorRecord]) -> None:
        """What else a watched run would have told."""
        self.capture.sink.reads.traced = True
        trained = self._trained(asked)
        if trained is not None:
            trained.stood(asked.model, asked.step, known)

    def _watch_again(
        self,
        asked: MethodCall,
        before: ModelState,
        plain: Any,
        earlier: bool,
        run_first: RunFirst,
    ) -> None:
        model = asked.model
        after = ModelState(model)
        before.restore()
        try:
            with unnoticed(model):
                captured, records, batches = self._captured(asked, asked.silent)
            self._compare(host(plain), host(captured), after.equals(ModelState(model)))
            records = self._of_what_ran(asked, earlier, records, host(captured), host(plain))
            self.programs = [one._replace(tensors=_names(records)) for one in self.programs]
            self._finish(asked, records, plain, batches.digests_of(asked.repeatable), run_first)
        finally:
            after.restore()

    def _noted(self, asked: MethodCall, ran: Executions) -> AbstractContextManager[None]:
        """Inside, steps note what they run."""
        model, step = asked.model, asked.step
        noted = self.recorded and returns_each_step(model, step)
        return ran.seen(model, step) if noted else nullcontext()

    def _unheard(self, asked: MethodCall) -> AbstractContextManager[None]:
        trained = self._trained(asked)
        return nullcontext() if trained is None else trained.unheard(asked.model, asked.step)

    def _trained(self, asked: MethodCall) -> StepWatcher | None:
        return None if asked.step == "predict" else self.training

    def _names_of(self, asked: MethodCall) -> Sequence[str]:
        """What tells a call beside its numbers, before it: the optimizer is seen as it is now.
        Empty where that cannot be told."""
        trained = self._trained(asked)
        with suppress(Exception):  # of whatever model of the user's: then it is watched
            path = self.watch.path_of(asked.model)
            state = trained.state_of(asked.model, asked.step) if trained else ()
            return [path, *state, *named_weights(asked.model)]
        return ()

    def _known(
        self, asked: MethodCall, ran: Executions, names: Sequence[str]
    ) -> Sequence[TensorRecord] | None:
        """What the golden has of a call, where its run is that golden's own."""
        self.programs, model = [], asked.model
        if not ran.steps or not names:
            return None
        key = Identity(model, self.recorded).of(ran.steps, ran.before, ran.after, names)
        if key is None:
            return None
        known = self.unchanged(asked.name, key)
        tensors = () if known is None else _names(known)
        self.programs = [Identified(asked.name, key, tensors)]
        return known

    def _kept(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the records hold them: a larger one is refused there already."""
        limit = Limit(rows=self.capture.sink.limit.rows)
        return {name: limit.kept(name, array) for name, array in outputs.items()}

    def _compare(
        self, plain: Mapping[str, Array], captured: Mapping[str, Array], same_state: bool
    ) -> None:
        same = same_state and list(plain) == list(captured)
        same = same and all(digest(plain[place]) == digest(captured[place]) for place in plain)
        self._observe("identical" if same else "changed")

    # -- beside -----------------------------------------------------------------------------

    def _beside(
        self, asked: MethodCall, kwargs: Mapping[str, Any]
    ) -> tuple[Any, list[TensorRecord], Batches]:
        """Batch by batch the model's own function, and a watched one."""
        __tracebackhide__ = True
        batches = Batches(self.capture.sink.reads, asked.name)
        outlets = Outlets(self.capture.sink.reads, predicts=True)
        beside = RunBeside(
            asked.model,
            quiet=self.watch.paused,
            watched=lambda: self._standing(asked, batches, outlets),
            read=self.capture.sink.reads.settle,
        )
        with ExitStack() as stack:
            stack.enter_context(self.capture.owned(eager=False))
            for watch in self.others:
                stack.enter_context(watch.paused())
            stack.enter_context(beside.standing())
            returned = asked.run(*asked.args, **kwargs)
        if beside.failure is not None:
            raise beside.failure
        self._observe("identical" if beside.same else "changed")
        records = self.capture.collect(join=True)
        ran = self._of_what_ran(asked, beside.earlier, records, beside.made(), host(returned))
        return returned, ran, batches

    def _of_what_ran(
        self,
        asked: MethodCall,
        earlier: bool,
        records: Sequence[TensorRecord],
        made: Mapping[str, Array],
        plain: Mapping[str, Array],
    ) -> list[TensorRecord]:
        """The records of a watched run, for the test's own. earlier: whether that ran on with what
        Keras had made before, which may be another program by now: then its outputs alone."""
        replaced = replaced_outputs(records, self._kept(made), self._kept(plain))
        if not (earlier and is_another(plain, made, records)):
            return replaced
        self._unlook(f"inside of {asked.method}")
        pairs = zip(records, replaced, strict=True)
        return [output for record, output in pairs if output is not record]

    # -- the watched run --------------------------------------------------------------------

    def _captured(
        self, asked: MethodCall, kwargs: Mapping[str, Any]
    ) -> tuple[Any, list[TensorRecord], Batches]:
        model = asked.model
        batches = Batches(self.capture.sink.reads, asked.name)
        # What was traced for the user, before or in the plain run, neither sees nor is replaced.
        with ExitStack() as stack:
            stack.enter_context(attribute(model, f"{asked.step}_function", None))
            outlets = Outlets(self.capture.sink.reads, predicts=True)
            stack.enter_context(self._standing(asked, batches, outlets))
            stack.enter_context(self.capture.owned(eager=runs_eagerly(model, asked.step)))
            for watch in self.others:
                stack.enter_context(watch.paused())
            if asked.method == "predict":
                kwargs = settling(kwargs, self.capture.sink.reads.settle)
            if self.training is None or asked.step == "predict":
                returned = asked.run(*asked.args, **kwargs)
                return returned, self.capture.collect(join=True), batches
            with self.training.around(model) as run:
                returned = asked.run(*asked.args, **kwargs)
            trained = self.training.records(run, returned)
            return returned, [*self.capture.collect(join=True), *trained], batches

    @contextmanager
    def _standing(self, asked: MethodCall, batches: Batches, outlets: Outlets) -> Iterator[None]:
        """Inside, the model's step tells what it is given, and what is read of it leaves it."""
        model, step = asked.model, asked.step
        with ExitStack() as stack:
            stack.enter_context(before_each(model, f"{step}_step", self._step(asked, batches)))
            if step == "predict" and returns_each_step(model, step):
                stack.enter_context(outlets.standing(model, step))
            yield

    def _step(self, asked: MethodCall, batches: Batches) -> Callable[..., None]:
        def begin(*args: Any, **kwargs: Any) -> None:
            # Traced anew for a smaller last batch, or run for each on backends that trace nothing.
            self.watch.restart()
            self.capture.sink.restart()
            if not asked.repeatable:
                batches.read(last_argument(args, kwargs))

        return begin

    def _finish(
        self,
        asked: MethodCall,
        records: Sequence[TensorRecord],
        returned: Any,
        read: Mapping[str, str],
        run_first: RunFirst,
    ) -> None:
        if self.finished is not None:
            logs = () if returned is None else asked.logs(returned)
            self.finished([*records, *logs], returned, read, run_first)

    # -- the first batch, eagerly -----------------------------------------------------------

    def _first(self, ended: list[Ended]) -> AbstractContextManager[Any]:
        return nullcontext() if self.first is None else _into(self.first(), ended)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        with ExitStack() as stack:
            for watch in (self.watch, *self.others):
                stack.enter_context(watch.paused())
            yield


def _is_made(asked: MethodCall) -> bool:
    """Whether Keras has what it runs the steps by already."""
    return getattr(asked.model, f"{asked.step}_function", None) is not None


def _names(records: Sequence[TensorRecord]) -> list[str]:
    return [record.name for record in records]


@contextmanager
def _into(first: AbstractContextManager[list[Ended]], ended: list[Ended]) -> Iterator[None]:
    with first as seen:
        yield
    ended += seen


@contextmanager
def owned_calls(owned: OwnedCalls) -> Iterator[OwnedCalls]:
    """Let `owned` stand around the methods of models, in this thread, inside the block."""
    opened = patches.watch(list(_places()), owned)
    try:
        yield owned
    finally:
        patches.unwatch(opened, owned)


def _places() -> Iterator[tuple[type, str]]:
    for owner in _trainers():
        yield from ((owner, name) for name in STEP_OF if callable(vars(owner).get(name)))


def _trainers() -> Iterable[type]:
    """Models and what they inherit their methods from: the backend's trainer is no layer."""
    import keras

    from ..watch.calls import subclasses

    models = subclasses(keras.Model)
    return dict.fromkeys(base for model in models for base in model.__mro__ if base is not object)
