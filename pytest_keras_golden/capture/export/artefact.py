"""A Keras model as an artefact that its runtime runs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...errors import CaptureError
from ..loading.load import one_line
from .runtimes import Artefact, Feed, Runtime

if TYPE_CHECKING:
    from ...records import Array


@dataclass(frozen=True, slots=True)
class RuntimeOutputs:
    """What an artefact returned. precision: of the runtime's arithmetic."""

    outputs: Sequence[Array]
    precision: str


@dataclass
class Exporter:
    """Exports models and runs them. fixed: why only for the shapes of its inputs, where that is so;
    kept for all that follow, which are parts of one model."""

    runtime: Runtime
    fixed: str | None = None
    _opened: dict[tuple[Any, ...], tuple[Any, Artefact, str]] = field(default_factory=dict)

    def answer(self, model: Any, feed: Feed) -> RuntimeOutputs:
        """What the runtime makes of the model's export. Raises CaptureError where there is none."""
        if self.fixed is None:
            try:
                return self._answer(model, feed, None)
            except Exception as error:
                self.fixed = reason(error)
        try:
            return self._answer(model, feed, signature(model, feed))
        except Exception as error:
            raise CaptureError(f"{self.runtime.title} cannot run it: {self.fixed}") from error

    def _answer(self, model: Any, feed: Feed, fixed: Any) -> RuntimeOutputs:
        shapes = None if fixed is None else tuple(array.shape for array in feed.arrays)
        key = (id(model), shapes)
        if key not in self._opened:
            # Holds the model, so that its id stays its own.
            self._opened[key] = (model, *self._exported(model, fixed))
        _, run, precision = self._opened[key]
        with _quiet():
            return RuntimeOutputs(run(feed), precision)

    def _exported(self, model: Any, fixed: Any) -> tuple[Artefact, str]:
        with TemporaryDirectory(prefix="keras-golden-") as folder, _quiet():
            path = Path(folder) / f"model{self.runtime.suffix}"
            _export(model, path, self.runtime.format, fixed)
            return self.runtime.load(path)


def _export(model: Any, path: Path, kind: str, fixed: Any) -> None:
    """By what this release's `export` takes: the first ones had a path and a format."""
    parameters = inspect.signature(model.export).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = {"format": kind, "verbose": False, "input_signature": fixed}
    if fixed is None:
        del given["input_signature"]
    elif not takes_any and "input_signature" not in parameters:
        raise CaptureError("this release exports for no shapes but the model's own")
    taken = {name: value for name, value in given.items() if takes_any or name in parameters}
    model.export(str(path), **taken)


def signature(model: Any, feed: Feed) -> list[Any]:
    """The model's inputs in the shapes of these arrays, as `export` takes them."""
    import keras

    names = iter(feed.names)

    def spec(array: Array) -> Any:
        return keras.InputSpec(dtype=str(array.dtype), shape=array.shape, name=next(names))

    return [keras.tree.map_structure(spec, feed.nest)]


def feed_of(model: Any, arrays: Mapping[str, Array], argument: Any) -> Feed:
    """The arrays of a case as the model's inputs: by their names, where it has these; else in the
    order of the call's argument."""
    import keras
    import numpy as np

    structure = getattr(model, "_inputs_struct", None)
    tensors = [] if structure is None else keras.tree.flatten(structure)
    if tensors and {tensor.name for tensor in tensors} == set(arrays):
        given = [arrays[tensor.name] for tensor in tensors]
    else:
        given = [np.asarray(leaf) for leaf in keras.tree.flatten(argument)]
    if len(given) != len(tensors):
        return Feed(given, list(arrays), argument)
    typed = [_typed(a, t.dtype) for a, t in zip(given, tensors, strict=True)]
    nest = keras.tree.pack_sequence_as(structure, typed)
    return Feed(typed, [tensor.name for tensor in tensors], nest)


def _typed(array: Array, dtype: Any) -> Array:
    """Artefacts insist on the dtypes of their inputs."""
    if array.dtype.kind in "OUS" or str(dtype) == "bfloat16":
        return array
    return array.astype(str(dtype))


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of their own ways, and suites may have made errors of warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


TELLING = (
    "No conversion rule",
    "not supported by this interpreter",
    "is not a registered",
    "op_type",
)


def reason(error: BaseException) -> str:
    """The line of an exporter's or runtime's error that says what it lacks, else the first that is
    no place in its sources."""
    if isinstance(error, CaptureError):
        return error.problem
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(PLACES)]
    telling = next((line for line in lines if any(part in line for part in TELLING)), None)
    said = telling or next(iter(lines), None)
    return one_line(error) if said is None else f"{type(error).__name__}: {said[:300]}"


PLACES = ("Exception from src/", "Check '", "[Error] Exception from src/")
"""How lines of OpenVINO begin that say where it failed."""
