"""Gradients of a fixed projection, by the differentiation of whichever backend runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from history.layers import Array, normal

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.state.weights import named_weights

Function = Callable[[Sequence[Any]], Any]
"""Of tensors that are differentiated by, to a nest of tensors."""


def gradients(function: Function, given: Sequence[Array]) -> dict[str, Any]:
    """`output/i`, and `gradient/i` of sum(output · fixed numbers) by each of the floating-point
    arrays given."""
    return _WAYS[keras.backend.backend()](lambda tensors: _leaves(function(tensors)), given, {})


def of_layer(layer: Any, inputs: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """As `gradients`, by a built layer's floating-point inputs and its trainable weights."""
    named = named_weights(layer)
    trained = {id(variable) for variable in layer.trainable_variables}
    by = {name: variable for name, variable in named.items() if id(variable) in trained}
    arrays = [leaf for _, leaf in flatten(inputs) if leaf.dtype.kind == "f"]

    def call(tensors: Sequence[Any]) -> Any:
        return _leaves(layer(*_with(inputs, iter(tensors)), **options))

    if keras.backend.backend() == "jax":
        return _jax_layer(layer, lambda t: _with(inputs, iter(t)), arrays, by, options)
    return _WAYS[keras.backend.backend()](call, arrays, by)


def _with(nest: Any, tensors: Any) -> Any:
    """The nest with tensors in the places of its floating-point arrays."""
    if isinstance(nest, (tuple, list)):
        return type(nest)(_with(inner, tensors) for inner in nest)
    return next(tensors) if nest.dtype.kind == "f" else nest


def _leaves(nest: Any) -> list[Any]:
    """Floating-point tensors of a nest."""
    return [leaf for _, leaf in flatten(nest) if "float" in str(leaf.dtype)]


def _projection(tensor: Any, at: int) -> Array:
    kind = "float64" if "float64" in str(tensor.dtype) else "float32"
    return normal(*tensor.shape, seed=90 + at).astype(kind)


NEXT_TO_NOTHING = 2.0**-17
"""64 roundings of float32: a gradient that is smaller than this beside the largest of its layer is
rounding itself, as that of a key's bias, which no softmax sees."""


def without_noise(made: Mapping[str, Any]) -> dict[str, Any]:
    """Zeros in the place of gradients that are nothing but rounding."""
    grads = {name: array_of(value) for name, value in made.items() if name.startswith("gradient")}
    sizes = {name: float(np.abs(grad).max(initial=0.0)) for name, grad in grads.items()}
    largest = max(sizes.values(), default=0.0)
    small = (name for name, size in sizes.items() if size < NEXT_TO_NOTHING * largest)
    return {**made, **{name: np.zeros_like(grads[name]) for name in small}}


def _named(outputs: Sequence[Any], grads: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    made = {f"output/{at}": output for at, output in enumerate(outputs)}
    for name, grad in zip(names, grads, strict=True):
        made[f"gradient/{name}"] = np.zeros(0, np.float32) if grad is None else grad
    return without_noise(made)


def _numbered(given: Sequence[Array], by: Mapping[str, Any]) -> list[str]:
    return [*(str(at) for at in range(len(given))), *by]


def _jax(function: Any, given: Sequence[Array], by: Mapping[str, Any]) -> dict[str, Any]:
    import jax

    outputs, pull = jax.vjp(function, [jax.numpy.asarray(array) for array in given])
    return _named(outputs, pull(_cotangents(outputs))[0], _numbered(given, by))


def _cotangents(outputs: Sequence[Any]) -> list[Any]:
    import jax

    return [
        jax.numpy.asarray(_projection(output, at), output.dtype)
        for at, output in enumerate(outputs)
    ]


def _jax_layer(
    layer: Any, nested: Any, given: Sequence[Array], by: Mapping[str, Any], options: Any
) -> dict[str, Any]:
    import jax

    fixed = [variable.value for variable in layer.non_trainable_variables]

    def call(trained: Any, tensors: Any) -> Any:
        made, _ = layer.stateless_call(trained, fixed, *nested(tensors), **options)
        return _leaves(made)

    trained = [variable.value for variable in layer.trainable_variables]
    outputs, pull = jax.vjp(call, trained, [jax.numpy.asarray(array) for array in given])
    of_weights, of_inputs = pull(_cotangents(outputs))
    found = dict(zip(map(id, layer.trainable_variables), of_weights, strict=True))
    ordered = [found[id(variable)] for variable in by.values()]
    return _named(outputs, [*of_inputs, *ordered], _numbered(given, by))


def _torch(function: Any, given: Sequence[Array], by: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in given]
    sources = [*tensors, *(variable.value for variable in by.values())]
    # A leaf cannot be written into, as some releases write into their inputs.
    outputs = function([tensor.clone() for tensor in tensors])
    projected = [
        (output * torch.tensor(_projection(output, at)).to(output.dtype)).sum()
        for at, output in enumerate(outputs)
    ]
    grads = torch.autograd.grad(sum(projected), sources, allow_unused=True)
    return _named(outputs, grads, _numbered(given, by))


def _tensorflow(function: Any, given: Sequence[Array], by: Mapping[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    tensors = [tf.constant(array) for array in given]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(tensors)
        projected = tf.add_n(
            [
                tf.reduce_sum(output * tf.cast(_projection(output, at), output.dtype))
                for at, output in enumerate(outputs)
            ]
        )
    sources = [*tensors, *(variable.value for variable in by.values())]
    grads = tape.gradient(projected, sources)
    dense = [None if grad is None else tf.convert_to_tensor(grad) for grad in grads]
    return _named(outputs, dense, _numbered(given, by))


_WAYS = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}


def array_of(value: Any) -> Array:
    return np.asarray(to_numpy(value), order="C")
