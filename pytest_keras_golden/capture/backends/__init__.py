"""Tensors of every backend as numpy arrays; everything above this package sees numpy only.

A backend's file is imported when its library already is: a test on jax never loads torch.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import xxhash

from ...errors import CaptureError
from ...release import KERAS_2
from . import numpy as _numpy

if TYPE_CHECKING:
    from types import FrameType

    from ...records import Array

_LIBRARIES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
"""Library whose import makes a backend's tensors possible → file here."""


class Backend(Protocol):
    """What one file of this package provides."""

    def owns(self, kind: type) -> bool: ...
    def is_concrete(self, value: Any) -> bool: ...
    def view(self, value: Any) -> Array: ...
    def from_numpy(self, array: Array, like: Any) -> Any: ...
    def defer(self, value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None: ...
    def trace_level(self) -> Any: ...
    def is_traced(self, value: Any) -> bool: ...


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor or variable of a loaded backend, Keras or numpy.

    Python scalars are not; symbolic, ragged and sparse tensors are.
    """
    return _is_symbolic(value) or _is_variable(value) or _owner(value) is not None


def is_concrete(value: Any) -> bool:
    """Whether `value` holds numbers now: no tracer, graph, fake, meta or Keras symbolic tensor."""
    if _is_symbolic(value):
        return False
    value = unwrapped(value)
    owner = _owner(value)
    return owner is not None and owner.is_concrete(value)


def is_text(value: Any) -> bool:
    """Whether `value` is a tensor of characters, which a golden cannot hold."""
    return is_tensor(value) and re.search("string|[<>|]?[US][0-9]*$", str(value.dtype)) is not None


def text_digest(value: Any) -> str:
    """xxh3-128 of a tensor of characters and its shape."""
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    letters = json.dumps([str(array.shape), *map(str, array.ravel().tolist())])
    return xxhash.xxh3_128_hexdigest(letters.encode())


def to_numpy(value: Any) -> Array:
    """An own C-order copy on the host with the tensor's exact dtype and bits.

    bfloat16 and float8 come as ml_dtypes. Gradients are cut off, a device is read once. Python
    scalars become int64, float64 or bool. Raises CaptureError for ragged, sparse, symbolic,
    complex, string and object values.
    """
    return _numpy.owned(view(value))


def view(value: Any) -> Array:
    """As `to_numpy`, but of the tensor's own memory where it lies on the host: to be read at once,
    for code that writes in place, or donates the tensor, changes it."""
    if _is_symbolic(value):
        raise CaptureError(
            f"{value!r} is symbolic: it stands for a tensor and holds no numbers",
            "Call the model on arrays inside the test, not on keras.Input.",
        )
    value = unwrapped(value)
    owner = _owner(value)
    if owner is None:
        return _numpy.from_scalar(value)
    if not owner.is_concrete(value):
        raise CaptureError(
            f"a {type(value).__name__} inside a traced function holds no numbers yet",
            "Return the tensor from the compiled function and check the result.",
        )
    return _numpy.checked(owner.view(value))


def refill(value: Any) -> Callable[[], object] | None:
    """What puts back the numbers of a tensor that may be written in place; None of others, and of
    variables of Keras."""
    module = type(value).__module__.partition(".")[0]
    owner = _owner(value) if module in ("tensorflow", "torch") else None
    if owner is None or not owner.is_concrete(value):
        return None
    return cast("Callable[[], object] | None", cast("Any", owner).refill(value))


def is_batched(value: Any) -> bool:
    """Whether it stands for all examples of a `vmap`, of which a call is given one."""
    module = type(value).__module__.partition(".")[0]
    if module == "torch":
        return bool(import_module(".torch", __name__).is_batched(value))
    return module == "jax" and type(primal(value)).__name__ == "BatchTracer"


def primal(value: Any) -> Any:
    """What differentiation of jax wraps; anything else as it is."""
    if "jax" not in sys.modules or isinstance(value, _UNWRAPPED):
        return value
    return import_module(".jax", __name__).primal(value)


def double_precision() -> AbstractContextManager[Any]:
    """Inside, there is float64 on every backend; numbers of float32 are what they were."""
    # Keras computes convolutions by jax on numpy, too.
    if "jax" not in sys.modules:
        return nullcontext()
    return cast("AbstractContextManager[Any]", import_module(".jax", __name__).double_precision())


_UNWRAPPED = (str, int, float, type(None))


def from_numpy(array: Array, like: Any) -> Any:
    """`array` as a tensor of the same library and device as `like`; dtype and bits of `array`."""
    like = unwrapped(like)
    owner = _owner(like)
    return array if owner is None else owner.from_numpy(array, like)


def defer(value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None:
    """Has the program being traced hand a tensor of it to `receive`, on the host, as it runs.

    Returns what to call when the program has run, before `receive` is sure to have been called;
    None where this value can never be handed over.
    """
    value = unwrapped(value)
    owner = _owner(value)
    if owner is None or _is_symbolic(value):
        return None
    return owner.defer(value, receive)


def returnable(value: Any, anchor: Any) -> Any | None:
    """What a program that jax traces may return for `value`, where it may return `anchor`; None
    where it cannot, as of what lies in a loop or a branch of it."""
    if active() != "jax":
        return None
    return import_module(".jax", __name__).returnable(unwrapped(value), unwrapped(anchor))


def copied(value: Any) -> Any:
    """What a variable can be given back later, whatever becomes of this tensor of it."""
    if active() == "jax" and import_module(".jax", __name__).is_plain(value):
        # A tenth of the time that jax takes for a copy of its own.
        return to_numpy(value)
    import keras

    return keras.ops.copy(value)


def given_back(copy: Any) -> Any:
    """What a variable is given of that, a copy again: a step may use it up."""
    import keras

    if isinstance(copy, np.ndarray) and active() == "jax":
        return keras.ops.convert_to_tensor(copy.copy())
    return keras.ops.copy(copy)


def shapes_of(nest: Any) -> Any:
    """A nest with shapes and dtypes in the place of arrays of jax, which may be gone when they are
    asked for."""
    return nest if active() != "jax" else import_module(".jax", __name__).shapes_of(nest)


def program_of(function: Any, args: tuple[Any, ...]) -> str:
    """The text of the program that jax made of a function for these arguments, or their shapes, as
    it ran; empty where there is none, or it is spread over devices."""
    if active() != "jax" or not hasattr(function, "lower"):
        return ""
    return str(import_module(".jax", __name__).program_of(function, args))


def pulled_back(
    function: Callable[[list[Any]], list[Any]],
    tensors: list[Any],
    cotangents: Callable[[list[Any]], list[Any]],
) -> list[Any]:
    """The gradient of each tensor, None of one that has no part in it: the vector-Jacobian product
    of `function`, which returns tensors of floating point, with what `cotangents` makes for them.

    Raises CaptureError on backends that do not differentiate.
    """
    library = _LIBRARIES.get(active())
    if library is None:
        raise CaptureError(f"the {active()} backend does not differentiate")
    made = import_module(f".{library}", __name__).pulled_back(function, tensors, cotangents)
    return cast("list[Any]", made)


def keeps_order() -> bool:
    """Whether what a program of this backend hands over comes in order, however often it runs."""
    return active() == "jax" and bool(import_module(".jax", __name__).keeps_order())


def torch_steps(
    begins: Callable[[Any], None], ended: Callable[[Any], None]
) -> AbstractContextManager[Any]:
    """Inside, every optimizer of torch's own is told before and after it steps."""
    if active() != "torch":
        return nullcontext()
    hooks = import_module(".torch", __name__).optimizer_steps(begins, ended)
    return cast("AbstractContextManager[Any]", hooks)


def retaken(iterator: Any) -> Callable[[], Any] | None:
    """Makes iterators over one batch, the next of an iterator of TensorFlow's; None where that has
    no more, and of anything else."""
    if active() != "tensorflow":
        return None
    made = import_module(".tensorflow", __name__).retaken(iterator)
    return cast("Callable[[], Any] | None", made)


def untraced() -> AbstractContextManager[Any]:
    """Inside, variables that TensorFlow makes while it traces a program hold their numbers."""
    if active() != "tensorflow":
        return nullcontext()
    return cast("AbstractContextManager[Any]", import_module(".tensorflow", __name__).untraced())


def is_traced(value: Any) -> bool:
    """Whether a program is being traced that will run this value once and in order.

    Not so under `vmap`, in data pipelines, in loops of TensorFlow, for shapes alone.
    """
    value = unwrapped(value)
    owner = None if _is_symbolic(value) else _owner(value)
    return owner is not None and owner.is_traced(value)


def is_guarded() -> bool:
    """Whether jax raises where values outlive their trace, or come to a device without being sent:
    whoever is handed values of a program does both."""
    return active() == "jax" and bool(import_module(".jax", __name__).is_guarded())


def is_sealed() -> bool:
    """Whether nothing can hand over values of what is being traced: it will be written to a file or
    made another format's, and what tries to is written as well, or refused; or see `is_guarded`."""
    if active() not in ("jax", "tensorflow"):
        return False
    if is_guarded():
        return True
    backend = import_module(f".{active()}", __name__)
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if backend.exports(str(frame.f_globals.get("__name__")), frame.f_code.co_name):
            return True
        frame = frame.f_back
    return False


def compiled_frames() -> int:
    """How many functions `torch.compile` has looked at: what it compiles cannot be watched."""
    if "torch" not in sys.modules:
        return 0
    return int(import_module(".torch", __name__).compiled_frames())


def write_count(tensor: Any) -> int | None:
    """How often a tensor was written in place; None where nobody counts."""
    library = type(tensor).__module__.partition(".")[0]
    if library in ("jaxlib", "jax"):
        return 0
    if library == "tensorflow" and not hasattr(tensor, "assign"):
        return 0
    is_inference = getattr(tensor, "is_inference", None) if library == "torch" else None
    # Tensors made in `torch.inference_mode` are not counted, and raise where they are asked.
    return None if is_inference is None or is_inference() else int(tensor._version)


def trace_level() -> Any:
    """What is being run or traced here, for comparison by `==`.

    A `scan` body, a branch and a nested `jit` are levels of their own.
    """
    return [backend.trace_level() for backend in _loaded()]


def active() -> str:
    """Name of the Keras backend in use, or the one a later `import keras` will choose."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend())
    return os.environ.get("KERAS_BACKEND") or _configured()


def _configured() -> str:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _owner(value: Any) -> Backend | None:
    kind: Any = type(value)  # no `type`: mypy takes classes for unhashable
    return _owner_of(kind)


# By class and remembered: every leaf of every watched call is asked about.
@lru_cache(maxsize=1024)
def _owner_of(kind: type) -> Backend | None:
    if _numpy.owns(kind):
        return cast(Backend, _numpy)
    return next((backend for backend in _loaded() if backend.owns(kind)), None)


def _loaded() -> Iterator[Backend]:
    for library, module in _LIBRARIES.items():
        if library in sys.modules:
            yield cast(Backend, import_module(f".{module}", __name__))


def _is_symbolic(value: Any) -> bool:
    kind: Any = type(value)
    return _is_keras(kind, "KerasTensor")


def _is_variable(value: Any) -> bool:
    kind: Any = type(value)
    return _is_keras(kind, "KerasVariable", "Variable")


@lru_cache(maxsize=1024)
def _is_keras(kind: type, *names: str) -> bool:
    # By name: `keras.Variable` is not the class of layer weights before 3.7, and keras may not
    # be imported at all.
    return any(
        base.__name__ in names and base.__module__.partition(".")[0] in ("keras", KERAS_2)
        for base in kind.__mro__
    )


def unwrapped(value: Any) -> Any:
    """What a variable of Keras wraps; anything else, a backend's own variable too, as it is."""
    return value.value if _is_variable(value) else value
