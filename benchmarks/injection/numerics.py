"""Formulas of layers in plain Keras operations, each with the knobs that releases turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Method = Callable[..., Any]


def with_values(method: Method, **values: Callable[[float], float]) -> Method:
    """A method of Keras as it is, while attributes of its layer are what `values` make of them."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = {name: getattr(self, name) for name in values}
        for name, made in values.items():
            object.__setattr__(self, name, made(before[name]))
        try:
            return method(self, *args, **kwargs)
        finally:
            for name, value in before.items():
                object.__setattr__(self, name, value)

    return call


def rescaled(attend: Method, factor: float) -> Method:
    """Keras' own attention, its scale multiplied."""

    def core(query: Any, key: Any, value: Any, **options: Any) -> Any:
        scale = options.pop("scale", None)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        return attend(query, key, value, scale=factor * scale, **options)

    return core


def lowered(x: Any, dtype: str) -> Any:
    """Rounded to another format and back: an intermediate of other precision."""
    return ops.cast(ops.cast(x, dtype), keras.backend.standardize_dtype(x.dtype))


def at_least(dtype: str, x: Any) -> str:
    """`dtype`, or for float32 the wider of the two, as Keras' own layers compute in."""
    own = keras.backend.standardize_dtype(x.dtype)
    return str(keras.backend.result_type(own, dtype)) if dtype == "float32" else dtype


def attention(
    *,
    scale: Callable[[int], float] | None = None,
    forbidden: float = -math.inf,
    offset: int = 0,
    window: int | None = None,
    cap: float | None = None,
    softmax_in: str = "float32",
    scale_query: bool = False,
    stable: bool = True,
    normalise_last: bool = False,
) -> Method:
    """`keras.ops.dot_product_attention` written out, without its grouped heads and bias.

    scale: of the head width. forbidden: added to masked scores; -inf excludes them. offset: of the
    causal diagonal. cap: tanh soft cap of the scores. normalise_last: probabilities are divided by
    their sum after the product with the values, as fused kernels do.
    """

    def core(
        query: Any,
        key: Any,
        value: Any,
        bias: Any = None,
        mask: Any = None,
        is_causal: bool = False,
        scale: float | None = scale,
        **_: Any,
    ) -> Any:
        dtype = keras.backend.standardize_dtype(query.dtype)
        factor = _factor(scale, query.shape[-1])
        if scale_query:
            query, factor = query * ops.cast(factor, dtype), 1.0
        inside = at_least(softmax_in, query)
        scores = ops.cast(ops.einsum("btnh,bsnh->bnts", query, key), inside)
        scores = scores * ops.cast(factor, inside)
        if cap is not None:
            scores = ops.tanh(scores / cap) * cap
        allowed = _allowed(scores.shape, mask, is_causal, offset, window)
        probabilities, total = _exponentials(scores, allowed, forbidden, stable)
        if normalise_last:
            mixed = ops.einsum("bnts,bsnh->btnh", ops.cast(probabilities, dtype), value)
            return ops.cast(mixed / ops.cast(ops.transpose(total, (0, 2, 1, 3)), dtype), dtype)
        probabilities = ops.cast(probabilities / total, dtype)
        return ops.einsum("bnts,bsnh->btnh", probabilities, value)

    if scale is None:
        return core

    def rescaled(query: Any, key: Any, value: Any, **options: Any) -> Any:
        return core(query, key, value, **{**options, "scale": scale})

    return rescaled


def _factor(scale: Any, width: int) -> float:
    if callable(scale):
        return float(scale(width))
    return width**-0.5 if scale is None else float(scale)


def _allowed(shape: Any, mask: Any, causal: bool, offset: int, window: int | None) -> Any:
    rows, columns = (ops.arange(size) for size in shape[-2:])
    distance = rows[:, None] - columns[None]
    allowed = ops.ones(shape[-2:], "bool")
    if causal:
        allowed = distance >= -offset
    if window is not None:
        allowed = ops.logical_and(allowed, distance < window)
    return allowed if mask is None else ops.logical_and(allowed, ops.cast(mask, "bool"))


def _exponentials(scores: Any, allowed: Any, forbidden: float, stable: bool) -> tuple[Any, Any]:
    if math.isinf(forbidden):
        scores = ops.where(allowed, scores, ops.cast(-1e30, scores.dtype))
    else:
        scores = scores + ops.where(allowed, 0.0, ops.cast(forbidden, scores.dtype))
    if stable:
        scores = scores - ops.max(scores, axis=-1, keepdims=True)
    exponentials = ops.exp(scores)
    return exponentials, ops.sum(exponentials, axis=-1, keepdims=True)


def layer_norm(
    *,
    epsilon: float | None = None,
    centred: bool = True,
    ddof: int = 0,
    compute_in: str = "float32",
    through_squares: bool = False,
    divide: bool = False,
    folded: bool = False,
    epsilon_outside: bool = False,
) -> Method:
    """`LayerNormalization.call` over the last axis.

    through_squares: variance as E[x²] − E[x]². divide: by √(variance + ε) in place of a product
    with its inverse. folded: inverse and gamma multiplied first. epsilon_outside: √variance + ε.
    """

    def call(self: Any, inputs: Any) -> Any:
        inside = at_least(compute_in, inputs)
        x = ops.cast(inputs, inside)
        mean = ops.mean(x, -1, keepdims=True) if centred else ops.zeros((), inside)
        variance = _variance(x, mean, ddof, through_squares)
        small = ops.cast(self.epsilon if epsilon is None else epsilon, inside)
        root = ops.sqrt(variance) + small if epsilon_outside else ops.sqrt(variance + small)
        gamma, beta = (ops.cast(w, inside) for w in (self.gamma, self.beta))
        if folded:
            factor = gamma / root
            y = x * factor + (beta - mean * factor)
        elif divide:
            y = (x - mean) / root * gamma + beta
        else:
            y = (x - mean) * (1.0 / root) * gamma + beta
        return ops.cast(y, self.compute_dtype)

    return call


def _variance(x: Any, mean: Any, ddof: int, through_squares: bool) -> Any:
    if through_squares:
        return ops.mean(ops.square(x), -1, keepdims=True) - ops.square(mean)
    total = ops.sum(ops.square(x - mean), -1, keepdims=True)
    return total / (x.shape[-1] - ddof)


def dense(
    *,
    kernel: Callable[[Any], Any] = lambda kernel: kernel,
    bias: bool = True,
    inputs_in: str | None = None,
    pieces: int = 1,
    wide: bool = False,
    reversed_sum: bool = False,
    early_activation: bool = False,
) -> Method:
    """`Dense.call`. kernel: makes what is multiplied with. inputs_in: format that inputs and kernel
    are rounded to before. pieces: of the contracted axis, summed one after the other (split-K).
    wide: product and bias in float32, rounded once. early_activation: before the bias."""

    def call(self: Any, inputs: Any, training: Any = None) -> Any:
        x, w = inputs, kernel(ops.convert_to_tensor(self.kernel))
        if inputs_in:
            x, w = lowered(x, inputs_in), lowered(w, inputs_in)
        if wide:
            x, w = ops.cast(x, "float32"), ops.cast(w, "float32")
        if reversed_sum:
            x, w = ops.flip(x, -1), ops.flip(w, 0)
        y = _product(x, w, pieces)
        if early_activation and self.activation is not None:
            y = self.activation(y)
        if bias and self.bias is not None:
            y = y + ops.cast(self.bias, y.dtype)
        y = ops.cast(y, self.compute_dtype)
        return y if early_activation or self.activation is None else self.activation(y)

    return call


def _product(x: Any, w: Any, pieces: int) -> Any:
    cuts = [round(at * w.shape[0] / pieces) for at in range(pieces + 1)]
    parts = [ops.matmul(x[..., low:high], w[low:high]) for low, high in itertools.pairwise(cuts)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def quantised(bits: int) -> Callable[[Any], Any]:
    """Symmetric integer weights with one scale per output channel."""

    def apply(kernel: Any) -> Any:
        wide = ops.cast(kernel, "float32")
        step = ops.max(ops.abs(wide), axis=0, keepdims=True) / (2 ** (bits - 1) - 1)
        return ops.cast(ops.round(wide / step) * step, kernel.dtype)

    return apply


def gelu_erf(x: Any, approximate: bool = False) -> Any:
    """The exact one in float32, rounded once."""
    wide = ops.cast(x, at_least("float32", x))
    return ops.cast(0.5 * wide * (1.0 + ops.erf(wide / math.sqrt(2.0))), x.dtype)


def gelu_tanh(x: Any, approximate: bool = False) -> Any:
    wide = ops.cast(x, at_least("float32", x))
    inner = ops.tanh(math.sqrt(2.0 / math.pi) * (wide + 0.044715 * wide * wide * wide))
    return ops.cast(0.5 * wide * (1.0 + inner), x.dtype)


def gelu_sigmoid(x: Any, approximate: bool = False) -> Any:
    return x * ops.sigmoid(1.702 * x)
