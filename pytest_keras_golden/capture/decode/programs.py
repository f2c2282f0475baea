"""Functions of a model's variables, compiled as each backend compiles them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backends import active

Program = Callable[..., Any]


def compiled(model: Any, function: Program) -> Program:
    """`function` of tensors as one program that reads the variables of `model`, writing none.

    jax: `jit` with the variables as arguments, which keeps them from being folded into it;
    TensorFlow: `tf.function`, through XLA where the model asks for it. torch and numpy, and a
    model with `run_eagerly`, run it as it is. Traced anew for every call of `compiled`.
    """
    if getattr(model, "run_eagerly", False):
        return function
    make = {"jax": _jitted, "tensorflow": _graph, "torch": _without_gradients}.get(active())
    return function if make is None else make(model, function)


def _jitted(model: Any, function: Program) -> Program:
    import jax
    import keras

    variables = list(model.variables)

    def run(values: list[Any], *args: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*args)

    program = jax.jit(run)
    return lambda *args: program([variable.value for variable in variables], *args)


def _graph(model: Any, function: Program) -> Program:
    import tensorflow as tf

    # As keras-hub compiles its own generate.
    jit_compile = bool(getattr(model, "jit_compile", True))
    program: Program = tf.function(function, jit_compile=jit_compile, autograph=False)
    return program


def _without_gradients(model: Any, function: Program) -> Program:
    import torch

    def run(*args: Any) -> Any:
        with torch.no_grad():
            return function(*args)

    return run
