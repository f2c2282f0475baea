"""jax arrays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.extend.core
import jax.interpreters.partial_eval
import numpy as np

from ...errors import CaptureError
from .numpy import owned

if TYPE_CHECKING:
    from ...records import Array


def owns(kind: type) -> bool:
    return issubclass(kind, (jax.Array, jax.core.Tracer)) or _is_sparse(kind)


def is_concrete(value: Any) -> bool:
    return not isinstance(primal(value), jax.core.Tracer)


def view(value: Any) -> Array:
    if _is_sparse(type(value)):
        raise CaptureError("a sparse jax array cannot be captured", "Check `x.todense()`.")
    value = primal(value)
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
        raise CaptureError(
            f"a jax array of dtype {value.dtype} has no numbers of its own",
            "Check `jax.random.key_data(key)`.",
        )
    _refuse_unreadable(value)
    # On CPU, of the device buffer: donated later, it would change under who keeps it.
    return np.asarray(value)


def from_numpy(array: Array, like: Any) -> Any:
    return jax.device_put(array, None if isinstance(like, jax.core.Tracer) else like.sharding)


def _refuse_unreadable(value: Any) -> None:
    if not isinstance(value, jax.Array) or not hasattr(value, "is_deleted"):
        # A numpy array that a trace has wrapped.
        return
    if value.is_deleted():
        raise CaptureError(
            "a jax array was deleted (its buffer was donated) before it could be captured",
            "Check it before the donating call, or compile without `donate_argnums`.",
        )
    if not value.is_fully_addressable:
        raise CaptureError(
            "a jax array lies partly on devices of another process",
            "Gather it with `jax.experimental.multihost_utils.process_allgather` first.",
        )


def _is_sparse(kind: type) -> bool:
    sparse = sys.modules.get("jax.experimental.sparse")
    return sparse is not None and issubclass(kind, sparse.JAXSparse)


def defer(value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None:
    """Has the program that is being traced hand over this value, on the host, whenever it runs.

    Returns what waits for it; None where no program will run the value once and in order: under
    `vmap`, whose callbacks see single examples, and where only shapes are evaluated.
    """
    value = primal(value)
    if not isinstance(value, jax.core.Tracer):
        receive(owned(view(value)))
        return _nothing
    if not is_traced(value):
        return None
    jax.debug.callback(lambda array: receive(owned(view(array))), value, ordered=keeps_order())
    return _wait


def returnable(value: Any, anchor: Any) -> Any | None:
    value, anchor = primal(value), primal(anchor)
    both = is_traced(value) and is_traced(anchor)
    return value if both and _trace(value) is _trace(anchor) else None


def is_plain(value: Any) -> bool:
    """Whether an array of numpy says all that there is about a tensor: where it lies, and that its
    dtype is no weak one, which others would outdo."""
    if not isinstance(value, jax.Array) or not hasattr(value, "devices"):
        return isinstance(value, np.ndarray)
    on_host = [device.platform for device in value.devices()] == ["cpu"]
    return on_host and not getattr(value, "weak_type", False)


def shapes_of(nest: Any) -> Any:
    return jax.tree_util.tree_map(_shape_of, nest)


def _shape_of(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return leaf
    weak = bool(getattr(leaf, "weak_type", False))
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=weak)


def program_of(function: Any, args: tuple[Any, ...]) -> str:
    # For shapes alone jax finds what it traced and lowered for the arrays, but not where that was
    # for several devices.
    if len(jax.devices()) > 1:
        return ""
    compiler = f"jaxlib {jax.lib.__version__} {os.environ.get('XLA_FLAGS', '')}"
    return f"{compiler}\n{function.lower(*shapes_of(args)).as_text()}"


def _trace(tracer: Any) -> Any:
    # Before jax 0.4.36 the trace is made anew for each value, and `main` is the one behind it.
    return getattr(tracer._trace, "main", None) or tracer._trace


def keeps_order() -> bool:
    """Order is kept by a token, and tokens work on a single device only."""
    return bool(jax.device_count() == 1)


def trace_level() -> Any:
    # Moved in jax 0.8; the old name warns there.
    core = jax.extend.core if hasattr(jax.extend.core, _STATE) else jax.core
    return getattr(core, _STATE)(convention="flax")


_STATE = "get_opaque_trace_state"


def is_guarded() -> bool:
    # The order of callbacks is kept by a token, which comes from the host.
    guard = str(jax.config.jax_transfer_guard_host_to_device)
    return bool(jax.config.jax_check_tracer_leaks) or guard.startswith("disallow")


_EXPORTERS = (
    *("jax._src.export", "jax.experimental.export", "jax.experimental.jax2tf"),
    *("jax2onnx", "keras.src.export"),
)


def exports(module: str, function: str) -> bool:
    """Whether a frame of the stack is one that traces for export. Callbacks into Python cannot be
    written to a file, and none knows what to do with a batch of unknown size."""
    return module.startswith(_EXPORTERS)


def is_traced(value: Any) -> bool:
    return isinstance(primal(value), jax.interpreters.partial_eval.DynamicJaxprTracer)


def primal(value: Any) -> Any:
    """What differentiation wraps: a callback on the value itself would be differentiated too."""
    while isinstance(value, jax.core.Tracer) and hasattr(value, "primal"):
        value = value.primal
    return value


def pulled_back(
    function: Callable[[list[Any]], list[Any]],
    tensors: list[Any],
    cotangents: Callable[[list[Any]], list[Any]],
) -> list[Any]:
    outputs, back = jax.vjp(lambda *given: function(list(given)), *tensors)
    return list(back(cotangents(outputs)))


def double_precision() -> Any:
    # A function of jax itself since 0.8.
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else _experimental_x64()


def _experimental_x64() -> Any:
    from jax.experimental import enable_x64

    return enable_x64()


def _wait() -> None:
    jax.effects_barrier()


def _nothing() -> None:
    return None
