"""Calls of a model that the plugin makes itself: once plain, for the numbers, once captured.

Watching a compiled program can change how it is fused. So `predict`, `predict_on_batch`,
`test_on_batch` and `train_on_batch` of a captured model run twice from the same state; what the
plain run returned is recorded and given to the caller, and the two are compared bit for bit.
`fit` and `evaluate`, whose programs run any number of times, are not looked into.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GoldenError
from ..records import Observer, TensorRecord
from ..store.digest import digest
from . import gates
from .backends import active, flatten, is_tensor, to_numpy
from .compiled import ProgramCapture, replaced_outputs
from .forgiving import Note, problem
from .gates import Run
from .limit import Limit
from .modelstate import ModelState, attribute, instance_attribute
from .watch import Watch

if TYPE_CHECKING:
    from ..records import Array

STEP_OF: Mapping[str, str] = {
    "predict": "predict",
    "predict_on_batch": "predict",
    "test_on_batch": "test",
    "train_on_batch": "train",
}
"""Method that is run twice → the step behind it, `<step>_step` and `<step>_function` in Keras."""

UNSEEN = ("fit", "evaluate")

Begun = Callable[[Any, str, "tuple[Any, ...]", "dict[str, Any]"], None]
Shadow = Callable[[Any, Callable[[], Any]], None]


@dataclass
class OwnedCalls:
    """Watcher of the training and inference methods of `model`, or of all where it is None.

    watch: the one behind `capture`. others: watches that must see neither run. begun: told model,
    method and arguments before anything runs. shadow: given a model and a function that runs the
    first batch eagerly, for what only eager execution shows; called after both runs.
    note: takes what cannot be captured, which else raises. observer: `changed` as soon as one call
    was.
    """

    model: Any | None
    capture: ProgramCapture
    watch: Watch
    others: Sequence[Watch] = ()
    prefix: str = ""
    begun: Begun | None = None
    shadow: Shadow | None = None
    note: Note | None = None
    observer: Observer | None = None
    seen: int = 0
    thread: int = field(default_factory=threading.get_ident)
    _inside: bool = False

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        # A method that calls another one is one call.
        if self._inside or (self.model is not None and args[0] is not self.model):
            return run(*args, **kwargs)
        self._inside = True
        try:
            if method in UNSEEN:
                with self._paused():
                    return run(*args, **kwargs)
            return self._call(method, run, args, kwargs)
        finally:
            self._inside = False

    def _call(self, method: str, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        model = args[0]
        self.seen += 1
        if not self._begin(model, method, args[1:], kwargs):
            with self._paused():
                return run(*args, **kwargs)
        # A generator gives its items once, and then nobody knows what watching changed.
        if any(hasattr(value, "__next__") for value in (*args, *kwargs.values())):
            returned, records = self._captured(method, run, args, kwargs)
            self.capture.records += records
            return returned
        return self._twice(method, run, args, kwargs)

    def _begin(self, model: Any, method: str, args: Any, kwargs: dict[str, Any]) -> bool:
        """Whether the call can be captured, as far as its arguments tell."""
        try:
            if self.begun is not None:
                self.begun(model, method, args, kwargs)
        except GoldenError as error:
            if self.note is None:
                raise
            self.note(f"{method}: {problem(error)}")
            return False
        return True

    def _twice(self, method: str, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        model = args[0]
        before = ModelState(model, step=STEP_OF[method])
        with self._paused():
            plain = run(*args, **kwargs)
        after = ModelState(model)
        before.restore()
        try:
            captured, records = self._captured(method, run, args, kwargs)
            self._compare(host(plain), host(captured), after.equals(ModelState(model)))
            self._run_shadow(method, run, args, kwargs, before)
            records = replaced_outputs(records, self._kept(host(captured)), self._kept(host(plain)))
            self.capture.records += [*records, *self._logs(method, plain, model)]
        except Exception as error:
            if self.note is None:
                raise
            self.capture.sink.forget()
            self.note(f"{method}, run again to be captured: {problem(error)}")
        finally:
            after.restore()
        return plain

    def _kept(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the records hold them: a larger one is refused there already."""
        limit = Limit(rows=self.capture.sink.limit.rows)
        return {name: limit.kept(name, array) for name, array in outputs.items()}

    def _captured(
        self, method: str, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, list[TensorRecord]]:
        model, step = args[0], STEP_OF[method]
        # What was traced for the user, before or in the plain run, neither sees nor is replaced.
        with ExitStack() as stack:
            stack.enter_context(attribute(model, f"{step}_function", None))
            stack.enter_context(_before_each(model, f"{step}_step", self._restart))
            stack.enter_context(self.capture.owned(eager=runs_eagerly(model)))
            for watch in self.others:
                stack.enter_context(watch.paused())
            if method == "predict":
                kwargs = {**kwargs, "callbacks": self._between_batches(kwargs.get("callbacks"))}
            returned = run(*args, **kwargs)
            return returned, self.capture.collect(join=True)

    def _run_shadow(
        self, method: str, run: Run, args: Any, kwargs: dict[str, Any], before: ModelState
    ) -> None:
        if self.shadow is None:
            return
        model, step = args[0], STEP_OF[method]

        def first_batch() -> None:
            with ExitStack() as stack:
                stack.enter_context(attribute(model, f"{step}_function", None))
                stack.enter_context(attribute(model, "run_eagerly", True))
                stack.enter_context(_before_each(model, f"{step}_step", _Once()))
                stack.enter_context(self._paused())
                run(*args, **kwargs)

        before.restore()
        try:
            self.shadow(model, first_batch)
        except _Enough:
            return

    @contextmanager
    def _paused(self) -> Iterator[None]:
        with ExitStack() as stack:
            for watch in (self.watch, *self.others):
                stack.enter_context(watch.paused())
            yield

    def _restart(self) -> None:
        # Traced anew for a smaller last batch, or run for each on backends that trace nothing.
        self.watch.restart()
        self.capture.sink.restart()

    def _between_batches(self, callbacks: Any) -> Any:
        import keras

        settle = self.capture.sink.reads.settle

        class Settle(keras.callbacks.Callback):  # type: ignore[misc]
            def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
                settle()

        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(Settle())
            return callbacks
        return [*_as_list(callbacks), Settle()]

    def _compare(
        self, plain: Mapping[str, Array], captured: Mapping[str, Array], same_state: bool
    ) -> None:
        same = same_state and list(plain) == list(captured)
        same = same and all(digest(plain[place]) == digest(captured[place]) for place in plain)
        if self.observer != "changed":
            self.observer = "identical" if same else "changed"

    def _logs(self, method: str, returned: Any, model: Any) -> Iterator[TensorRecord]:
        """What a train or test step says: losses and metrics, float32 behind Python floats."""
        if STEP_OF[method] == "predict":
            return
        for place, value in host(returned).items():
            single = value.astype(np.float32) if value.dtype == np.float64 else value
            precision = str(getattr(model, "compute_dtype", "") or "")
            yield TensorRecord(f"{self.prefix}{method}{place}", single, precision=precision)


class _Enough(BaseException):
    """Ends an eager run after its first batch; nobody on the way takes it for an error."""


class _Once:
    def __init__(self) -> None:
        self._begun = False

    def __call__(self) -> None:
        if self._begun:
            raise _Enough
        self._begun = True


@contextmanager
def owned_calls(owned: OwnedCalls) -> Iterator[OwnedCalls]:
    """Let `owned` stand around the methods of models, in this thread, inside the block."""
    opened = gates.watch(list(_places()), owned)
    try:
        yield owned
    finally:
        gates.unwatch(opened, owned)


@contextmanager
def _before_each(model: Any, name: str, begin: Callable[[], None]) -> Iterator[None]:
    original = getattr(model, name)

    # A function of its own: jax finds what it compiled for an equal one.
    def step(*args: Any, **kwargs: Any) -> Any:
        begin()
        return original(*args, **kwargs)

    with instance_attribute(model, name, step):
        yield


def runs_eagerly(model: Any) -> bool:
    """Whether Keras calls the model's steps without tracing them."""
    if getattr(model, "run_eagerly", False):
        return True
    if active() == "torch":
        return not getattr(model, "jit_compile", False)
    return active() == "numpy"


def host(returned: Any) -> dict[str, Array]:
    """Numbers of a nest by their place."""
    leaves = flatten(returned)
    return {
        place: to_numpy(leaf)
        for place, leaf in leaves
        if is_tensor(leaf) or isinstance(leaf, (int, float))
    }


def _places() -> Iterator[tuple[type, str]]:
    names = (*STEP_OF, *UNSEEN)
    for owner in _trainers():
        yield from ((owner, name) for name in names if callable(vars(owner).get(name)))


def _trainers() -> Iterable[type]:
    """Models and what they inherit their methods from: the backend's trainer is no layer."""
    import keras

    from .watch import subclasses

    models = subclasses(keras.Model)
    return dict.fromkeys(base for model in models for base in model.__mro__ if base is not object)


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
