"""One call of a method of a model: what it was asked for, and what it said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import TensorRecord
from ..backends import is_tensor, to_numpy
from ..backends.nest import flatten, leaves
from ..watch.patches import Run

if TYPE_CHECKING:
    from ...records import Array

STEP_OF: Mapping[str, str] = {
    "predict": "predict",
    "predict_on_batch": "predict",
    "test_on_batch": "test",
    "train_on_batch": "train",
    "evaluate": "test",
    "fit": "train",
}
"""Method that is looked into → the step behind it, `<step>_step` and `<step>_function` in Keras."""

TRAINING = tuple(method for method, step in STEP_OF.items() if step == "train")
"""Those of them that train."""

LOOPS = ("fit", "evaluate")
"""Those of them that run any number of steps, which only a training's watch looks into."""

BATCH = ("x", "y", "sample_weight")
"""What a model's methods are given beside how to go about it, in order."""


_ASIDE = ("callbacks", "verbose")


@dataclass
class MethodCall:
    """A method that was called: `run` with the model before the other arguments."""

    method: str
    run: Run
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str = ""

    def __post_init__(self) -> None:
        """Everything behind the batch by its name, so that it can be exchanged."""
        method = getattr(type(self.model), self.method)
        names = list(inspect.signature(method).parameters)
        first = 1 + (1 if self.method.startswith("predict") else len(BATCH))
        self.kwargs = dict(zip(names[first:], self.args[first:], strict=False)) | self.kwargs
        self.args = self.args[:first]

    @property
    def model(self) -> Any:
        return self.args[0]

    @property
    def step(self) -> str:
        return STEP_OF[self.method]

    @property
    def batch(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """x, y and sample weights, as they were passed."""
        count = 1 if self.method.startswith("predict") else len(BATCH)
        named = {name: self.kwargs[name] for name in BATCH[:count] if name in self.kwargs}
        return self.args[1:], named

    @property
    def repeatable(self) -> bool:
        """Whether everything it reads can be read again: arrays, and no data set or generator."""
        return _are_arrays(self.batch)

    @property
    def silent(self) -> dict[str, Any]:
        """Its arguments without what the test, or who looks at the terminal, would notice."""
        if self.method != "predict":
            return self.kwargs
        kept = {name: value for name, value in self.kwargs.items() if name not in _ASIDE}
        return kept | {"verbose": 0}

    @property
    def cuts(self) -> bool:
        """Whether Keras cuts what it was given into batches."""
        return self.method == "predict" and self.repeatable

    @property
    def batch_size(self) -> int:
        return int(self.kwargs.get("batch_size") or 32)

    @property
    def given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What decides about its numbers: all but who listens, and how many processes there are."""
        if self.method not in LOOPS:
            return self.batch
        kept = {name: value for name, value in self.kwargs.items() if name not in _ASIDE}
        return self.args[1:], kept

    def logs(self, returned: Any) -> Iterator[TensorRecord]:
        """What a train or test step says: losses and metrics, float32 behind Python floats."""
        if self.step == "predict" or self.method == "fit":
            return
        for place, value in host(returned).items():
            single = value.astype(np.float32) if value.dtype == np.float64 else value
            precision = str(getattr(self.model, "compute_dtype", "") or "")
            yield TensorRecord(f"{self.method}{place}", single, precision=precision)


def shuffles(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
    """Whether a call takes its arrays in an order that it draws. given, named: its arguments."""
    batch = [given, *(named[part] for part in BATCH if part in named)]
    return name.startswith("fit") and bool(named.get("shuffle", True)) and _are_arrays(batch)


def _are_arrays(nest: Any) -> bool:
    return all(is_tensor(part) or isinstance(part, (int, float)) for part in leaves(nest))


def host(returned: Any) -> dict[str, Array]:
    """Numbers of a nest by their place."""
    return {
        place: to_numpy(leaf)
        for place, leaf in flatten(returned)
        if is_tensor(leaf) or isinstance(leaf, (int, float))
    }


def settling(kwargs: Mapping[str, Any], settle: Callable[[], None]) -> Mapping[str, Any]:
    """The arguments with a callback that fetches what programs handed over, batch by batch."""
    import keras

    class Settle(keras.callbacks.Callback):  # type: ignore[misc]
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            settle()

    given = kwargs.get("callbacks")
    # A list of Keras' own may call from another thread: what is fetched at the end is the same.
    own = isinstance(given, keras.callbacks.CallbackList)
    return kwargs if own else {**kwargs, "callbacks": [*_as_list(given), Settle()]}


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
