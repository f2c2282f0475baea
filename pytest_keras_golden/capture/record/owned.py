"""Methods of a model that the plugin looks into: `predict` and the methods for one batch.

Watching a compiled program can change how it is fused. So what Keras compiles runs twice from the
same state, where the data can be given twice: what the plain run returned is recorded and given to
the caller, and the two are compared bit for bit. The second run is the plugin's own: nothing of the
test hears of it, neither callbacks nor the terminal. What Keras runs eagerly, and what reads a data
set or a generator, runs once and is watched at that.
`fit` and `evaluate` run once, whatever they read: `training` watches what their steps make, and of
the layers only the first step is looked into, by making it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import GoldenError
from ...records import ObserverEffect, TensorRecord
from ...store.digest import digest
from ..backends import active, is_tensor
from ..backends.nest import exchanged
from ..state.models import ModelState, attribute, instance_attribute, kept
from ..tap.limit import Limit
from ..watch import patches
from ..watch.calls import Watch, counted
from ..watch.forgiving import Note, problem
from ..watch.patches import Run
from .batches import Batches
from .compiled import ProgramCapture, replaced_outputs
from .eager import Ended
from .methods import BATCH, LOOPS, STEP_OF, MethodCall, host

if TYPE_CHECKING:
    from ...records import Array
    from .reads import Reads

MethodBegun = Callable[[Any, str, "tuple[Any, ...]", "dict[str, Any]", "int | None"], None]
RunFirst = Callable[[], "Ended | None"]
"""The first batch of a call as an eager call that can be made again; None where none was made."""

MethodFinished = Callable[[Sequence[TensorRecord], Any, Mapping[str, str], RunFirst], None]
First = Callable[[], "AbstractContextManager[list[Ended]]"]


class NotAgain(Exception):  # noqa: N818 (it is no error of anybody)
    """Why a call's first batch cannot be run again."""


class Trained(Protocol):
    """What watches the steps of a model's methods, and has the records of them."""

    @property
    def reads(self) -> Reads:
        """Which it settles after every step."""

    def around(self, model: Any) -> AbstractContextManager[Any]: ...

    def records(self, run: Any, returned: Any) -> Sequence[TensorRecord]:
        """Raises what could not be read of the steps."""


@dataclass
class OwnedCalls:
    """Watcher of the training and inference methods of `model`, or of all where it is None.

    watch: the one behind `capture`. others: watches that must see neither run. begun: told model,
    the call's name, what it was given, and how much of it is a batch, before anything runs.
    finished: given the records of a call, what it returned, digests of what it read from a data
    set, and how to run its first batch. first: a context inside of which the first eager call is
    recorded. training: None where nobody asks for it. note: takes what cannot be captured, which
    else raises. observer: `changed` as soon as one call was. unseen: how often each method ran that
    is not looked into.
    """

    model: Any | None
    capture: ProgramCapture
    watch: Watch
    others: Sequence[Watch] = ()
    begun: MethodBegun | None = None
    finished: MethodFinished | None = None
    first: First | None = None
    training: Trained | None = None
    note: Note | None = None
    observer: ObserverEffect | None = None
    seen: int = 0
    unseen: dict[str, int] = field(default_factory=dict)
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
            asked = MethodCall(method, run, args, kwargs)
            if method in LOOPS and self.training is None:
                return self._unlooked(asked)
            return self._call(asked)
        finally:
            self._inside = False

    def _unlooked(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        self.unseen[asked.method] = self.unseen.get(asked.method, 0) + 1
        with self._paused():
            return asked.run(*asked.args, **asked.kwargs)

    def _call(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        self.seen += 1
        if not self._begin(asked):
            with self._paused():
                return asked.run(*asked.args, **asked.kwargs)
        if asked.method in LOOPS:
            return self._loop(asked)
        if runs_eagerly(asked.model):
            return self._eagerly(asked)
        return self._twice(asked) if asked.repeatable else self._once(asked)

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

    # -- loops ------------------------------------------------------------------------------

    def _loop(self, asked: MethodCall) -> Any:
        """Watched from step to step; of its layers the first step is made again where it moved."""
        __tracebackhide__ = True
        training, model = self.training, asked.model
        assert training is not None
        before = ModelState(model, step=asked.step) if model.built else None
        batches = Batches(training.reads, asked.name, most=1)
        try:
            with ExitStack() as stack:
                stack.enter_context(self._paused())
                read = _before_each(model, f"{asked.step}_step", _last_argument(batches.read))
                stack.enter_context(read)
                run = stack.enter_context(training.around(model))
                returned = asked.run(*asked.args, **asked.kwargs)
        except BaseException:
            self.unseen[asked.method] = self.unseen.get(asked.method, 0) + 1
            raise

        def run_first() -> Ended | None:
            if before is None:
                raise NotAgain("the model was not built before its training began")
            with before.around():
                return self._first_again(asked, batches.first())

        try:
            with kept(model):
                self._finish(asked, training.records(run, returned), returned, batches, run_first)
        except Exception as error:
            if self.note is None:
                raise
            self.note(f"{asked.method}: {problem(error)}")
        return returned

    # -- once -------------------------------------------------------------------------------

    def _eagerly(self, asked: MethodCall) -> Any:
        """Keras runs the steps without compiling them, so watching changes no number."""
        __tracebackhide__ = True
        before = ModelState(asked.model, step="train") if asked.step == "train" else None
        ended: list[Ended] = []
        with self._first(ended):
            returned, records, batches = self._captured(asked, asked.kwargs)

        def run_first() -> Ended | None:
            if before is not None:
                before.restore()
            return ended[0] if ended else None

        with kept(asked.model) if before is not None else nullcontext():
            self._finish(asked, records, returned, batches, run_first)
        return returned

    def _once(self, asked: MethodCall) -> Any:
        """Data that can be read only once, in a compiled program: nobody knows what watching
        changed."""
        __tracebackhide__ = True
        before = ModelState(asked.model, step=asked.step)
        returned, records, batches = self._captured(asked, asked.kwargs)

        def run_first() -> Ended | None:
            with before.around():
                return self._first_again(asked, batches.first())

        with kept(asked.model):
            self._finish(asked, records, returned, batches, run_first)
        return returned

    # -- twice ------------------------------------------------------------------------------

    def _twice(self, asked: MethodCall) -> Any:
        __tracebackhide__ = True
        model = asked.model
        before = ModelState(model, step=asked.step)
        with self._paused():
            plain = asked.run(*asked.args, **asked.kwargs)
        after = ModelState(model)
        before.restore()
        try:
            captured, records, batches = self._captured(asked, asked.silent)
            self._compare(host(plain), host(captured), after.equals(ModelState(model)))
            records = replaced_outputs(records, self._kept(host(captured)), self._kept(host(plain)))

            def run_first() -> Ended | None:
                with before.around():
                    return self._first_again(asked, self._batch_of(asked))

            self._finish(asked, records, plain, batches, run_first)
        except Exception as error:
            if self.note is None:
                raise
            self.capture.sink.forget()
            self.note(f"{asked.method}, run again to be captured: {problem(error)}")
        finally:
            after.restore()
        return plain

    def _kept(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the records hold them: a larger one is refused there already."""
        limit = Limit(rows=self.capture.sink.limit.rows)
        return {name: limit.kept(name, array) for name, array in outputs.items()}

    def _compare(
        self, plain: Mapping[str, Array], captured: Mapping[str, Array], same_state: bool
    ) -> None:
        same = same_state and list(plain) == list(captured)
        same = same and all(digest(plain[place]) == digest(captured[place]) for place in plain)
        if self.observer != "changed":
            self.observer = "identical" if same else "changed"

    # -- the watched run --------------------------------------------------------------------

    def _captured(
        self, asked: MethodCall, kwargs: Mapping[str, Any]
    ) -> tuple[Any, list[TensorRecord], Batches]:
        model = asked.model
        batches = Batches(self.capture.sink.reads, asked.name)
        # What was traced for the user, before or in the plain run, neither sees nor is replaced.
        with ExitStack() as stack:
            stack.enter_context(attribute(model, f"{asked.step}_function", None))
            stack.enter_context(
                _before_each(model, f"{asked.step}_step", self._step(asked, batches))
            )
            stack.enter_context(self.capture.owned(eager=runs_eagerly(model)))
            for watch in self.others:
                stack.enter_context(watch.paused())
            if asked.method == "predict":
                kwargs = self._settling(kwargs)
            if self.training is None or asked.step == "predict":
                returned = asked.run(*asked.args, **kwargs)
                return returned, self.capture.collect(join=True), batches
            with self.training.around(model) as run:
                returned = asked.run(*asked.args, **kwargs)
            trained = self.training.records(run, returned)
            return returned, [*self.capture.collect(join=True), *trained], batches

    def _step(self, asked: MethodCall, batches: Batches) -> Callable[..., None]:
        def begin(*args: Any, **kwargs: Any) -> None:
            # Traced anew for a smaller last batch, or run for each on backends that trace nothing.
            self.watch.restart()
            self.capture.sink.restart()
            if not asked.repeatable:
                batches.read([*args, *kwargs.values()][-1])

        return begin

    def _settling(self, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments with a callback that fetches what programs handed over, batch by batch."""
        import keras

        settle = self.capture.sink.reads.settle

        class Settle(keras.callbacks.Callback):  # type: ignore[misc]
            def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
                settle()

        given = kwargs.get("callbacks")
        # A list of Keras' own may call from another thread: what is fetched at the end is the same.
        own = isinstance(given, keras.callbacks.CallbackList)
        return kwargs if own else {**kwargs, "callbacks": [*_as_list(given), Settle()]}

    def _finish(
        self,
        asked: MethodCall,
        records: Sequence[TensorRecord],
        returned: Any,
        batches: Batches,
        run_first: RunFirst,
    ) -> None:
        if self.finished is not None:
            every = [*records, *asked.logs(returned)]
            # Arrays are told by their own digests, in whatever order they are read.
            read = {} if asked.repeatable else batches.digests()
            self.finished(every, returned, read, run_first)

    # -- the first batch, eagerly -----------------------------------------------------------

    def _first(self, ended: list[Ended]) -> AbstractContextManager[Any]:
        return nullcontext() if self.first is None else _into(self.first(), ended)

    def _first_again(self, asked: MethodCall, batch: Mapping[str, Any] | None) -> Ended | None:
        if batch is None or self.first is None:
            return None
        model, method = asked.model, f"{asked.step}_on_batch"
        with ExitStack() as stack:
            stack.enter_context(attribute(model, f"{asked.step}_function", None))
            stack.enter_context(attribute(model, "run_eagerly", True))
            stack.enter_context(self._paused())
            ended = stack.enter_context(self.first())
            getattr(model, method)(**_tensors(batch))
        return ended[0] if ended else None

    def _batch_of(self, asked: MethodCall) -> Mapping[str, Any]:
        """The first batch of arrays, as the method for one batch takes it."""
        given, named = asked.batch
        every = {**dict(zip(BATCH, given, strict=False)), **named}
        if not asked.cuts:
            return every
        size = asked.batch_size
        return {"x": exchanged(every["x"], lambda leaf: leaf[:size] if _sliced(leaf) else leaf)}

    @contextmanager
    def _paused(self) -> Iterator[None]:
        with ExitStack() as stack:
            for watch in (self.watch, *self.others):
                stack.enter_context(watch.paused())
            yield


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


@contextmanager
def _before_each(model: Any, name: str, begin: Callable[..., None]) -> Iterator[None]:
    original = getattr(model, name)

    # A function of its own: jax finds what it compiled for an equal one.
    def step(*args: Any, **kwargs: Any) -> Any:
        begin(*args, **kwargs)
        return original(*args, **kwargs)

    with instance_attribute(model, name, step):
        yield


def runs_eagerly(model: Any) -> bool:
    """Whether Keras calls the model's steps without tracing them."""
    if getattr(model, "run_eagerly", False):
        return True
    if active() == "tensorflow":
        # Without XLA it is a graph all the same.
        return False
    return active() == "numpy" or not getattr(model, "jit_compile", active() == "jax")


def _tensors(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arrays as a step is given them by `fit`: a loss of the user's own may rely on it."""
    import keras

    def tensor(leaf: Any) -> Any:
        return keras.ops.convert_to_tensor(leaf) if is_tensor(leaf) else leaf

    return exchanged(batch, tensor)  # type: ignore[no-any-return]


def _last_argument(told: Callable[[Any], None]) -> Callable[..., None]:
    def begin(*args: Any, **kwargs: Any) -> None:
        told([*args, *kwargs.values()][-1])

    return begin


def _sliced(leaf: Any) -> bool:
    return is_tensor(leaf) and len(leaf.shape) > 0


def _places() -> Iterator[tuple[type, str]]:
    for owner in _trainers():
        yield from ((owner, name) for name in STEP_OF if callable(vars(owner).get(name)))


def _trainers() -> Iterable[type]:
    """Models and what they inherit their methods from: the backend's trainer is no layer."""
    import keras

    from ..watch.calls import subclasses

    models = subclasses(keras.Model)
    return dict.fromkeys(base for model in models for base in model.__mro__ if base is not object)


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
