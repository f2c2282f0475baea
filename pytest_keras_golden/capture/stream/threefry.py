"""Threefry-2x32, 20 rounds, in the integers that each backend has: the same words on all of them.

Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (2011). It takes additions,
rotations and exclusive ors of 32 bits alone. torch and TensorFlow compute with 64 bits, of which
the lower half counts: torch has no unsigned arithmetic, TensorFlow not everywhere.
"""

from __future__ import annotations

from typing import Any, Protocol

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF


class Integers(Protocol):
    """Arrays of 32-bit words of one backend."""

    def words(self, value: Any) -> Any: ...
    def counter(self, count: Any) -> Any: ...
    def add(self, one: Any, other: Any) -> Any: ...
    def xor(self, one: Any, other: Any) -> Any: ...
    def rotated(self, word: Any, by: int) -> Any: ...
    def joined(self, one: Any, other: Any) -> Any: ...


def words(seed: Any, count: Any, integers: Integers) -> Any:
    """`count` words of 32 bits, in one row. seed: two whole numbers, which are the key."""
    half = (count + 1) // 2
    key = integers.words(seed)
    counter = integers.counter(half)
    return integers.joined(*block(integers, key, counter, counter * 0))[:count]


def block(integers: Integers, key: Any, counter: Any, above: Any) -> tuple[Any, Any]:
    """Both words of each counter. counter, above: its lower and upper word."""
    first, second = key[0:1], key[1:2]
    parity = integers.words([_PARITY])
    keys = (first, second, integers.xor(integers.xor(first, second), parity))
    one, other = integers.add(counter, first), integers.add(above, second)
    for turn in range(5):
        for by in _ROTATIONS[turn % 2]:
            one = integers.add(one, other)
            other = integers.xor(integers.rotated(other, by), one)
        one = integers.add(one, keys[(turn + 1) % 3])
        other = integers.add(other, integers.add(keys[(turn + 2) % 3], integers.words([turn + 1])))
    return one, other


class Unsigned:
    """Of numpy, and of what has its interface."""

    def __init__(self, library: Any) -> None:
        self._numpy = library

    def words(self, value: Any) -> Any:
        import numpy as np

        known = np.asarray(value, np.uint32) if isinstance(value, list) else value
        return self._numpy.asarray(known).astype("uint32")

    def counter(self, count: int) -> Any:
        return self._numpy.arange(count, dtype="uint32")

    def add(self, one: Any, other: Any) -> Any:
        return one + other

    def xor(self, one: Any, other: Any) -> Any:
        return one ^ other

    def rotated(self, word: Any, by: int) -> Any:
        return (word << self.words([by])) | (word >> self.words([32 - by]))

    def joined(self, one: Any, other: Any) -> Any:
        return self._numpy.concatenate([one, other])


class OfTorch:
    """The lower half of 64 bits."""

    def words(self, value: Any) -> Any:
        import torch
        from keras.src.backend.torch.core import get_device

        return torch.as_tensor(value, device=get_device()).to(torch.int64) & _MASK

    def counter(self, count: int) -> Any:
        import torch
        from keras.src.backend.torch.core import get_device

        return torch.arange(count, dtype=torch.int64, device=get_device())

    def add(self, one: Any, other: Any) -> Any:
        return (one + other) & _MASK

    def xor(self, one: Any, other: Any) -> Any:
        return one ^ other

    def rotated(self, word: Any, by: int) -> Any:
        return ((word << by) & _MASK) | (word >> (32 - by))

    def joined(self, one: Any, other: Any) -> Any:
        import torch

        return torch.cat([one, other])


class OfTensorFlow:
    """The lower half of 64 bits."""

    def words(self, value: Any) -> Any:
        import tensorflow as tf

        known = (
            tf.constant(value, tf.int64) if isinstance(value, list) else tf.cast(value, tf.int64)
        )
        return tf.bitwise.bitwise_and(known, tf.constant(_MASK, tf.int64))

    def counter(self, count: Any) -> Any:
        import tensorflow as tf

        return tf.range(tf.cast(count, tf.int64), dtype=tf.int64)

    def add(self, one: Any, other: Any) -> Any:
        return self.words(one + other)

    def xor(self, one: Any, other: Any) -> Any:
        import tensorflow as tf

        return tf.bitwise.bitwise_xor(one, other)

    def rotated(self, word: Any, by: int) -> Any:
        import tensorflow as tf

        left = tf.bitwise.left_shift(word, tf.constant(by, tf.int64))
        right = tf.bitwise.right_shift(word, tf.constant(32 - by, tf.int64))
        return tf.bitwise.bitwise_or(self.words(left), right)

    def joined(self, one: Any, other: Any) -> Any:
        import tensorflow as tf

        return tf.concat([one, other], 0)


def integers_of(backend: str) -> Integers:
    """Of Keras' backend of that name."""
    if backend == "torch":
        return OfTorch()
    if backend == "tensorflow":
        return OfTensorFlow()
    if backend == "jax":
        import jax.numpy

        return Unsigned(jax.numpy)
    import numpy

    return Unsigned(numpy)
