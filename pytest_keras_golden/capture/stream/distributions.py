"""What the functions of a Keras backend that draw make of the stream that all backends share.

Normal numbers take a logarithm and a cosine, which backends round otherwise; everything else is the
same bit for bit. Each is called as the function of the backend by its name is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from ..backends import active, is_concrete, is_tensor, to_numpy
from .threefry import integers_of, words

MOST_TRIALS = 1024
"""Of a binomial number that is drawn trial by trial. Of more, each backend draws its own."""

_TRIES = 8
"""Of a number that is taken 19 times in 20: none of them is taken once in 2.5e10."""


class CannotShareError(Exception):
    """What is asked for cannot be drawn from the stream."""


def _words(seed: Any, count: Any) -> Any:
    from keras.src.random.seed_generator import draw_seed

    return words(draw_seed(seed), count, integers_of(active()))


def _count(shape: Any) -> Any:
    if isinstance(shape, (tuple, list)) and all(isinstance(size, Integral) for size in shape):
        return math.prod(map(int, shape))
    from keras.src import backend

    return backend.numpy.prod(backend.convert_to_tensor(shape))


def _unit(bits: Any, shape: Any, digits: int, middle: float = 0.0) -> Any:
    """Of words, multiples of 2^-digits from 0, or half of one on: exact in float32."""
    from keras.src import backend

    whole = bits // 2 ** (32 - digits)
    scaled = (backend.cast(whole, "float32") + middle) * 2.0**-digits
    return backend.numpy.reshape(scaled, shape)


_DIGITS = {"float16": 11, "bfloat16": 8}


def _uniform(
    shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    from keras.src import backend

    dtype = backend.standardize_dtype(dtype or backend.floatx())
    unit = _unit(_words(seed, _count(shape)), shape, _DIGITS.get(dtype, 24))
    low, high = (backend.cast(value, "float32") for value in (minval, maxval))
    return backend.cast(unit * (high - low) + low, dtype)


def _normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    return _spread(_standard(shape, seed), mean, stddev, dtype)


def _spread(standard: Any, mean: Any, stddev: Any, dtype: Any) -> Any:
    """Of standard normal numbers, those of this mean and deviation."""
    from keras.src import backend

    mean, stddev = (
        backend.cast(value, "float32") if is_tensor(value) else value for value in (mean, stddev)
    )
    return backend.cast(standard * stddev + mean, dtype or backend.floatx())


def _standard(shape: Any, seed: Any) -> Any:
    """Box and Muller: A Note on the Generation of Random Normal Deviates (1958)."""
    count = _count(shape)
    return _normals(_words(seed, 2 * count), count, shape)


def _normals(bits: Any, count: Any, shape: Any) -> Any:
    from keras.src import backend

    radius, angle = (_unit(part, shape, 23, 0.5) for part in (bits[:count], bits[count:]))
    ops = backend.numpy
    return ops.sqrt(-2.0 * ops.log(radius)) * ops.cos(2.0 * math.pi * angle)


def _truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    from keras.src import backend

    ops = backend.numpy
    drawn = _standard((_TRIES, *shape), seed)
    found = _first(drawn, ops.abs(drawn) < 2.0)
    return _spread(ops.clip(found, -2.0, 2.0), mean, stddev, dtype)


def _first(drawn: Any, taken: Any) -> Any:
    """Along the first axis, the first of `drawn` that may be taken; the last where none may."""
    from keras.src import backend

    found = drawn[_TRIES - 1]
    for at in reversed(range(_TRIES - 1)):
        found = backend.numpy.where(taken[at], drawn[at], found)
    return found


def _gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Marsaglia, Tsang: A Simple Method for Generating Gamma Variables (2000)."""
    from keras.src import backend

    bits = _words(seed, (3 * _TRIES + 1) * _count(shape))
    drawn = _of_gamma(tuple(shape), backend.cast(alpha, "float32"), bits)
    return backend.cast(drawn, dtype or backend.floatx())


def _of_gamma(shape: tuple[Any, ...], alpha: Any, bits: Any) -> Any:
    from keras.src import backend

    ops, count = backend.numpy, _count(shape)
    tried, many = (_TRIES, *shape), _TRIES * count
    normal = _normals(bits[: 2 * many], many, tried)
    unit = _unit(bits[2 * many : 3 * many], tried, 23, 0.5)
    # Below 1 the method takes alpha + 1, and a power of one more number.
    raised = ops.where(alpha < 1.0, alpha + 1.0, alpha)
    scale = raised - 1.0 / 3.0
    cubed = (1.0 + normal / ops.sqrt(9.0 * scale)) ** 3
    log = ops.log(ops.maximum(cubed, 1e-30))
    taken = (cubed > 0.0) & (ops.log(unit) < 0.5 * normal**2 + scale * (1.0 - cubed + log))
    found = _first(cubed, taken) * scale
    power = _unit(bits[3 * many :], shape, 23, 0.5) ** (1.0 / alpha)
    return ops.where(alpha < 1.0, found * power, found)


def _beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """X / (X + Y), of gamma variables X and Y."""
    from keras.src import backend

    count = (3 * _TRIES + 1) * _count(shape)
    bits = _words(seed, 2 * count)
    both = zip((alpha, beta), (bits[:count], bits[count:]), strict=True)
    one, other = (_of_gamma(tuple(shape), backend.cast(a, "float32"), part) for a, part in both)
    return backend.cast(one / (one + other), dtype or backend.floatx())


def _randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    from keras.src import backend

    if not (isinstance(minval, int) and isinstance(maxval, int)):
        minval, maxval = map(backend.convert_to_tensor, (minval, maxval))
        width = maxval - minval
    elif 0 < maxval - minval < 2**31:
        width = maxval - minval
    else:
        raise CannotShareError
    bits = _words(seed, _count(shape))
    inside = backend.numpy.reshape(bits % backend.cast(width, bits.dtype), shape)
    return backend.cast(inside, dtype) + backend.cast(minval, dtype)


def _binomial(
    shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Any:
    """Trial by trial."""
    from keras.src import backend

    trials = _most(counts)
    bits = _words(seed, trials * _count(shape))
    unit = _unit(bits, (trials, *shape), 24)
    counts, chance = (backend.cast(value, "float32") for value in (counts, probabilities))
    succeeded = [
        backend.cast((unit[at] < chance) & (at < counts), "float32") for at in range(trials)
    ]
    return backend.cast(
        sum(succeeded, backend.numpy.zeros(shape, "float32")), dtype or backend.floatx()
    )


def _most(counts: Any) -> int:
    if is_tensor(counts) and not is_concrete(counts):
        raise CannotShareError
    most = int(np.max(to_numpy(counts) if is_tensor(counts) else counts, initial=0))
    if most > MOST_TRIALS:
        raise CannotShareError
    return most


def _categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """The largest of logits with Gumbel noise, for each sample."""
    from keras.src import backend

    ops = backend.numpy
    logits = backend.cast(backend.convert_to_tensor(logits), "float32")
    rows, classes = backend.shape(logits)
    shape = (rows, num_samples, classes)
    noise = -ops.log(-ops.log(_unit(_words(seed, _count(shape)), shape, 23, 0.5)))
    return backend.cast(ops.argmax(ops.expand_dims(logits, 1) + noise, axis=-1), dtype)


def _dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    from keras.src import backend

    ops = backend.numpy
    if rate == 1.0:
        return ops.zeros_like(inputs)
    if rate == 0.0:
        return inputs
    if active() != "numpy":
        inputs = backend.convert_to_tensor(inputs)
    shape = _filled(noise_shape, backend.shape(inputs))
    kept = _unit(_words(seed, _count(shape)), shape, 24) < 1.0 - rate
    # By a tensor: a compiler makes a product of a quotient by a number, which rounds otherwise.
    is_float = backend.is_float_dtype(backend.standardize_dtype(inputs.dtype))
    dtype = inputs.dtype if is_float else "float32"
    scaled = backend.cast(inputs, dtype) / backend.cast(1.0 - rate, dtype)
    return ops.where(kept, backend.cast(scaled, inputs.dtype), ops.zeros_like(inputs))


def _filled(noise_shape: Sequence[Any] | None, shape: Sequence[Any]) -> tuple[Any, ...]:
    if noise_shape is None:
        return tuple(shape)
    return tuple(shape[at] if size is None else size for at, size in enumerate(noise_shape))


def _shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    from keras.src import backend

    ops = backend.numpy
    x = backend.convert_to_tensor(x)
    order = ops.argsort(_unit(_words(seed, backend.shape(x)[axis]), (-1,), 24))
    return ops.take(x, order, axis=axis)


DISTRIBUTIONS: Mapping[str, Callable[..., Any]] = {
    "normal": _normal,
    "uniform": _uniform,
    "truncated_normal": _truncated_normal,
    "randint": _randint,
    "categorical": _categorical,
    "dropout": _dropout,
    "gamma": _gamma,
    "beta": _beta,
    "binomial": _binomial,
    "shuffle": _shuffle,
}
