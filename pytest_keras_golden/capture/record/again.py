"""A model's own steps: watched as they begin, run eagerly, and the first of a call made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..backends import active, is_tensor
from ..backends.nest import exchanged
from ..state.models import attribute, instance_attribute
from ..watch.unnoticed import unnoticed
from .batches import FirstBatch
from .eager import Ended
from .methods import BATCH, MethodCall

First = Callable[[], "AbstractContextManager[list[Ended]]"]
Meanwhile = Callable[[], "AbstractContextManager[None]"]
"""A context that holds while something is made and run."""


class NotAgain(Exception):  # noqa: N818 (it is no error of anybody)
    """Why a call's first batch cannot be run again."""


@dataclass(frozen=True)
class Again:
    """first: a context inside of which the first eager call is recorded; None where nobody asks
    for it. paused: one inside of which nothing else is."""

    first: First | None
    paused: Meanwhile

    def run(self, asked: MethodCall, batch: FirstBatch | Mapping[str, Any] | None) -> Ended | None:
        """The batch, run eagerly by the method for one batch, up to where its loss is computed:
        losses, metrics and callbacks may be code that counts how often it is called."""
        if batch is None or self.first is None:
            return None
        model, method = asked.model, f"{asked.step}_on_batch"
        with ExitStack() as stack:
            stack.enter_context(attribute(model, f"{asked.step}_function", None))
            stack.enter_context(attribute(model, "run_eagerly", True))
            stack.enter_context(self.paused())
            stack.enter_context(unnoticed(model))
            ended = stack.enter_context(self.first())
            stack.enter_context(_left_before_its_loss(model, ended))
            if isinstance(batch, FirstBatch):
                given = _given(model, f"{asked.step}_step", _tensors(batch.data))
                stack.enter_context(given)
                batch = batch.named
            try:
                getattr(model, method)(**_tensors(batch))
            except Exception:
                # What comes behind the call that is looked into says nothing of it: methods for one
                # batch refuse losses of torch that `fit` takes.
                if not ended:
                    raise
        return ended[0] if ended else None


def _given(model: Any, step: str, data: Any) -> AbstractContextManager[None]:
    """Inside, a step of the model is given this. The method for one batch packs what it takes
    otherwise than `fit` does: always with weights, be they None."""
    original = getattr(model, step)

    def given(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            return original(*args, **{**kwargs, list(kwargs)[-1]: data})
        return original(*args[:-1], data)

    return instance_attribute(model, step, given)


class _Enough(Exception):  # noqa: N818 (it is no error of anybody)
    """What a step is left by."""


@contextmanager
def _left_before_its_loss(model: Any, ended: Sequence[Ended]) -> Iterator[None]:
    """Inside, a step of the model ends at its loss, once it has made a call."""
    original = getattr(model, "compute_loss", None)
    if original is None:
        yield
        return

    def compute_loss(*args: Any, **kwargs: Any) -> Any:
        if ended:
            raise _Enough
        return original(*args, **kwargs)

    # A step on jax that is broken off leaves the model waiting for the state that it made.
    synced = getattr(model, "_jax_state_synced", None)
    try:
        with instance_attribute(model, "compute_loss", compute_loss), suppress(_Enough):
            yield
    finally:
        if synced is not None:
            model._jax_state_synced = synced


def batch_of(asked: MethodCall) -> Mapping[str, Any]:
    """The first batch of arrays, as the method for one batch takes it."""
    given, named = asked.batch
    every = {**dict(zip(BATCH, given, strict=False)), **named}
    if not asked.cuts:
        return every
    size = asked.batch_size
    return {"x": exchanged(every["x"], lambda leaf: leaf[:size] if _sliced(leaf) else leaf)}


def _sliced(leaf: Any) -> bool:
    return is_tensor(leaf) and len(leaf.shape) > 0


def _tensors(batch: Any) -> Any:
    """Arrays as a step is given them by `fit`: a loss of the user's own may rely on it."""
    import keras

    def tensor(leaf: Any) -> Any:
        return keras.ops.convert_to_tensor(leaf) if is_tensor(leaf) else leaf

    return exchanged(batch, tensor)


@contextmanager
def before_each(model: Any, name: str, begin: Callable[..., None]) -> Iterator[None]:
    """Have `begin` called with what each call of a model's method is given."""
    original = getattr(model, name)

    # A function of its own: jax finds what it compiled for an equal one.
    def step(*args: Any, **kwargs: Any) -> Any:
        begin(*args, **kwargs)
        return original(*args, **kwargs)

    with instance_attribute(model, name, step):
        yield


def last_argument(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The batch: a step of jax is given its state before it."""
    return [*args, *kwargs.values()][-1]


def runs_eagerly(model: Any, step: str) -> bool:
    """Whether Keras calls the model's steps of a kind without tracing them. What it has compiled
    runs on where the model was switched since, of which Keras does not hear."""
    if is_program(getattr(model, f"{step}_function", None)):
        return False
    if getattr(model, "run_eagerly", False):
        return True
    if active() == "tensorflow":
        # Without XLA it is a graph all the same.
        return False
    return active() == "numpy" or not getattr(model, "jit_compile", active() == "jax")


def is_program(function: Any) -> bool:
    """Whether jax or TensorFlow compiles it, or what it calls with each batch, be it by way of
    functions of Keras."""
    every = [function]
    for _ in range(_DEEPEST):
        if any(hasattr(one, name) for one in every for name in ("lower", "get_concrete_function")):
            return True
        every = [one for wrapper in every for one in _called(wrapper)]
    return False


_DEEPEST = 4
"""Functions of Keras around a program, and that."""


def _called(wrapper: Any) -> list[Any]:
    if not str(getattr(wrapper, "__module__", "")).startswith("keras."):
        return []
    cells = getattr(wrapper, "__closure__", None) or ()
    return [one for cell in cells if callable(one := cell.cell_contents)]
