"""TensorFlow tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import tensorflow as tf

from ...errors import CaptureError
from .numpy import owned

if TYPE_CHECKING:
    from ...records import Array

_IRREGULAR = {
    tf.RaggedTensor: "Check `x.to_tensor()`.",
    tf.SparseTensor: "Check `tf.sparse.to_dense(x)`.",
    tf.IndexedSlices: "Check `tf.convert_to_tensor(x)`.",
}


def owns(kind: type) -> bool:
    return issubclass(kind, (tf.Tensor, tf.Variable, *_IRREGULAR))


def is_concrete(value: Any) -> bool:
    if isinstance(value, tf.Tensor):
        return not tf.is_symbolic_tensor(value)
    if isinstance(value, tf.Variable):
        # One that a tf.function makes while it is traced may be without its number until it runs.
        return bool(tf.executing_eagerly() and value.is_initialized())
    return all(is_concrete(part) for part in tf.nest.flatten(value, expand_composites=True))


def view(value: Any) -> Array:
    for irregular, fix in _IRREGULAR.items():
        if isinstance(value, irregular):
            raise CaptureError(f"a tf.{irregular.__name__} cannot be captured", fix)
    return np.asarray(value.numpy())


def from_numpy(array: Array, like: Any) -> Any:
    with tf.device(getattr(like, "device", None)):
        return tf.constant(array)


def defer(value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None:
    """Has the function that is being traced keep this value, on its device, when it runs.

    Returns what hands it over afterwards, which does nothing where the value's branch was not
    taken; None inside loops, whose values would overwrite each other, and inside branches for a
    value of unknown shape. By a resource, since XLA compiles assignments and no callbacks.
    """
    if not _is_symbolic(value) or not _runs_once(around := _around_branches(value.graph)):
        return None
    if around is not value.graph and not value.shape.is_fully_defined():
        return None
    # Autograph would turn the branches of what is returned into graph code.
    keep: Callable[..., Callable[[], None]] = tf.autograph.experimental.do_not_convert(_keep)
    return keep(value, receive)


def _keep(value: Any, receive: Callable[[Array], None]) -> Callable[[], None]:
    with tf.init_scope():
        kept, runs = _resource(value.dtype), _resource(tf.int64)
        _reset(runs)
    if (around := _around_branches(value.graph)) is not value.graph:
        # XLA compiles both branches, and wants to know what the one that is not taken leaves.
        with around.as_default():
            tf.raw_ops.AssignVariableOp(resource=kept, value=tf.zeros(value.shape, value.dtype))
    assigned = tf.raw_ops.AssignVariableOp(resource=kept, value=value)
    # A step whose data have run out raises in one place while it goes on in others.
    with tf.control_dependencies([assigned]):
        tf.raw_ops.AssignAddVariableOp(resource=runs, value=tf.constant(1, tf.int64))

    def hand_over() -> None:
        times = int(tf.raw_ops.ReadVariableOp(resource=runs, dtype=tf.int64))
        if times == 0:
            return
        _reset(runs)
        if times > 1:
            raise CaptureError(
                f"a tf.function ran {times} times before its tensors could be read",
                "Call it once per capture block (with steps_per_execution=1 in predict).",
            )
        read = tf.raw_ops.ReadVariableOp(resource=kept, dtype=value.dtype)
        receive(owned(view(read)))
        tf.raw_ops.DestroyResourceOp(resource=kept)

    return hand_over


def pulled_back(
    function: Callable[[list[Any]], list[Any]],
    tensors: list[Any],
    cotangents: Callable[[list[Any]], list[Any]],
) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(tensors)
    found = tape.gradient(outputs, tensors, output_gradients=cotangents(outputs))
    return [None if grad is None else tf.convert_to_tensor(grad) for grad in found]


_EXPORTERS = ("tensorflow.python.saved_model", "keras.src.export", "tf2onnx")
_CONCRETE = "tensorflow.python.eager.polymorphic_function"


def exports(module: str, function: str) -> bool:
    """Whether a frame of the stack is one that traces for export. A resource that keeps a value is
    part of no model that is saved. What runs a function never asks for its concrete one."""
    return module.startswith(_EXPORTERS) or (
        function == "get_concrete_function" and module.startswith(_CONCRETE)
    )


def is_traced(value: Any) -> bool:
    return _is_symbolic(value) and _runs_once(value.graph)


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and bool(tf.is_symbolic_tensor(value))


def _runs_once(graph: Any) -> bool:
    """Bodies of loops and branches are of subclasses; tf.data names its functions so."""
    return type(graph).__name__ == "FuncGraph" and not graph.name.startswith("Dataset")


def _around_branches(graph: Any) -> Any:
    while type(graph).__name__ == "CondBranchFuncGraph":
        graph = graph.outer_graph
    return graph


def refill(value: Any) -> Callable[[], object] | None:
    if not isinstance(value, tf.Variable) or not is_concrete(value):
        return None
    kept = value.read_value()
    return lambda: value.assign(kept)


def retaken(iterator: Any) -> Callable[[], Any] | None:
    if not isinstance(iterator, tf.data.Iterator):
        return None
    taken = iterator.get_next_as_optional()
    if not taken.has_value():
        return None
    batch = tf.data.Dataset.from_tensors(taken.get_value())
    # Of the form that the iterator has, where a batch may be of any size: its program is the same.
    variant, form = batch._variant_tensor, iterator.element_spec
    return lambda: iter(tf.data.experimental.from_variant(variant, form))


def untraced() -> AbstractContextManager[None]:
    scope: AbstractContextManager[None] = tf.init_scope()
    return scope


def trace_level() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def generators() -> Iterator[tuple[Callable[[Any], object], Any]]:
    """The state behind unseeded `tf.random` calls, and how it is put back."""
    from tensorflow.python.eager import context

    # Where operations of the eager context take their seeds from, once a global seed was set.
    seeds = getattr(context.context(), "_rng", None)
    if seeds is not None:
        yield seeds.setstate, seeds.getstate()


def _resource(dtype: Any) -> Any:
    # Not tf.Variable: a tf.function allows new variables in its first trace only. Named, since
    # only a named one is gone when destroyed, and XLA lets no resource change its shape.
    return tf.raw_ops.VarHandleOp(
        dtype=dtype, shape=tf.TensorShape(None), shared_name=f"keras_golden_{uuid4().hex}"
    )


def _reset(runs: Any) -> None:
    tf.raw_ops.AssignVariableOp(resource=runs, value=tf.constant(0, tf.int64))
