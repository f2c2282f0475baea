"""Calls of a model that the plugin makes itself: once plain, for the numbers, once captured.

Watching a compiled program can change how it is fused. So `predict`, `predict_on_batch`,
`test_on_batch` and `train_on_batch` of a captured model run twice from the same state; what the
plain run returned is recorded and given to the caller, and the two are compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..records import Mode, Observer, TensorRecord
from ..store.digest import digest
from .backends import active, flatten, is_tensor, to_numpy
from .compiled import ProgramCapture, replaced_outputs
from .state import Snapshot
from .watch import Watch

if TYPE_CHECKING:
    from ..records import Array

METHODS: Mapping[str, str] = {
    "predict": "predict",
    "predict_on_batch": "predict",
    "test_on_batch": "test",
    "train_on_batch": "train",
}
"""Method that is run twice → the step behind it, `<step>_step` and `<step>_function` in Keras."""


@dataclass
class OwnedCalls:
    """Stands in for the methods of one model while its block is open.

    observer: `changed` as soon as one call was. mode: compiled where a program was traced.
    inputs: arguments of each call, for fingerprints and an isolating pass.
    """

    model: Any
    capture: ProgramCapture
    watch: Watch
    others: Sequence[Watch] = ()
    prefix: str = ""
    observer: Observer | None = None
    mode: Mode | None = None
    inputs: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    _inside: bool = False

    def stand_in(self, method: str) -> Callable[..., Any]:
        original = getattr(self.model, method)

        def twice(*args: Any, **kwargs: Any) -> Any:
            # A method that calls another one is one call, and a generator gives its items once.
            if self._inside or _is_spent_by_use(args, kwargs):
                return original(*args, **kwargs)
            self._inside = True
            try:
                return self._twice(method, original, args, kwargs)
            finally:
                self._inside = False

        return twice

    def _twice(self, method: str, original: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        self.inputs.append((args, kwargs))
        _prepare(self.model, METHODS[method])
        before = FullState(self.model)
        with self._unseen():
            plain = original(*args, **kwargs)
        after = FullState(self.model)
        if len(after) > len(before):
            # Metrics are made by the first step that updates them, and never unmade.
            self.model.reset_metrics()
        before.restore()
        captured, records = self._captured(method, original, args, kwargs)
        self._compare(host(plain), host(captured), after.equals(FullState(self.model)))
        after.restore()
        self.capture.records += replaced_outputs(records, host(captured), host(plain))
        self.capture.records += self._logs(method, plain)
        return plain

    def _captured(
        self, method: str, original: Any, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, list[TensorRecord]]:
        step = METHODS[method]
        # What was traced before this block, or for the user, must not see and not be replaced.
        with ExitStack() as stack:
            stack.enter_context(_fresh_function(self.model, f"{step}_function"))
            stack.enter_context(_instance(self.model, f"{step}_step", self._step(f"{step}_step")))
            stack.enter_context(self._admitting())
            for watch in self.others:
                stack.enter_context(watch.paused())
            if method == "predict":
                kwargs = {**kwargs, "callbacks": self._between_batches(kwargs.get("callbacks"))}
            captured = original(*args, **kwargs)
            records = self.capture.collect(join=True)
        return captured, records

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        with ExitStack() as stack:
            for watch in (self.watch, *self.others):
                stack.enter_context(watch.paused())
            yield

    @contextmanager
    def _admitting(self) -> Iterator[None]:
        self.capture.admits_eager = runs_eagerly(self.model)
        try:
            yield
        finally:
            self.capture.admits_eager = False
            self.mode = self.capture.mode

    def _step(self, name: str) -> Callable[..., Any]:
        original = getattr(self.model, name)

        def step(*args: Any, **kwargs: Any) -> Any:
            # Traced anew for a smaller last batch, or run for each on backends that trace nothing.
            self.watch.restart()
            self.capture.sink.restart()
            return original(*args, **kwargs)

        return step

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

    def _logs(self, method: str, plain: Any) -> Iterator[TensorRecord]:
        """What a train or test step says: losses and metrics, float32 behind Python floats."""
        if METHODS[method] == "predict":
            return
        for place, value in host(plain).items():
            single = value.astype(np.float32) if value.dtype == np.float64 else value
            precision = str(getattr(self.model, "compute_dtype", "") or "")
            yield TensorRecord(f"{self.prefix}{method}{place}", single, precision=precision)


class FullState:
    """All variables of a model, its optimizer and metrics, and every random state."""

    def __init__(self, model: Any) -> None:
        self._random = Snapshot([model])
        self._values = [(item, _copy(item)) for item in _variables(model)]

    def __len__(self) -> int:
        return len(self._values)

    def restore(self) -> None:
        self._random.restore()
        for variable, value in self._values:
            # Twice restored: what a train step donates must not be the only copy.
            variable.assign(_copied(value))

    def equals(self, other: FullState) -> bool:
        mine, others = self._digests(), other._digests()
        return mine == others

    def _digests(self) -> list[str]:
        return [digest(to_numpy(value)) for _, value in self._values]


@contextmanager
def owned_calls(
    model: Any,
    capture: ProgramCapture,
    watch: Watch,
    others: Sequence[Watch] = (),
    prefix: str = "",
) -> Iterator[OwnedCalls]:
    """Run the methods of `model` twice inside the block, as the module's text says.

    watch: the one that `capture` observes; others: watches that must see neither run.
    """
    owned = OwnedCalls(model, capture, watch, others, prefix)
    with ExitStack() as stack:
        for method in METHODS:
            if callable(getattr(model, method, None)):
                stack.enter_context(_instance(model, method, owned.stand_in(method)))
        yield owned


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


def _prepare(model: Any, step: str) -> None:
    """Make what the first step would make, so that it can be put back after it."""
    optimizer = getattr(model, "optimizer", None)
    if step == "train" and optimizer is not None and model.built and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _variables(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    held = [
        *model.variables,
        *getattr(model, "metrics_variables", ()),
        *(optimizer.variables if optimizer is not None and optimizer.built else ()),
    ]
    return list({id(variable): variable for variable in held}.values())


def _copy(variable: Any) -> Any:
    return _copied(variable.value)


def _copied(value: Any) -> Any:
    import keras

    return keras.ops.copy(value)


@contextmanager
def _fresh_function(model: Any, name: str) -> Iterator[None]:
    kept = getattr(model, name, None)
    setattr(model, name, None)
    try:
        yield
    finally:
        setattr(model, name, kept)


@contextmanager
def _instance(model: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """`function` as an attribute of this object alone, past the tracking of Keras and torch."""
    own = vars(model)
    missing = object()
    kept = own.get(name, missing)
    object.__setattr__(model, name, function)
    try:
        yield
    finally:
        if kept is missing:
            object.__delattr__(model, name)
        else:
            object.__setattr__(model, name, kept)


def _is_spent_by_use(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return any(hasattr(value, "__next__") for value in (*args, *kwargs.values()))


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
