"""The system's entropy, which tests draw without asking for it: numpy's `default_rng()`,
`RandomState()` and `random.seed()`, and Python's `random.seed()`.

Each of them begins anew in every run. While a seed is in force they draw from a generator of their
own that it began.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import bit_generator

_BITS = 128
"""As many as `numpy.random.SeedSequence` asks the system for."""

_LONGEST = 32
"""Bits of a seed that `numpy.random.seed` takes."""


class _Entropy:
    """Stands in for the system: one per process, in force while it has a generator."""

    def __init__(self) -> None:
        self.generator: random.Random | None = None
        self._replaced: list[tuple[Any, str, Any]] = []

    def begin(self, generator: random.Random) -> None:
        self.generator = generator
        if not self._replaced:
            self._replace(bit_generator, "randbits", lambda _: self.bits)
            self._replace(np.random, "seed", self._seeding(_LONGEST))
            self._replace(random, "seed", self._seeding(_BITS))

    def end(self) -> None:
        self.generator = None
        while self._replaced:
            setattr(*self._replaced.pop())

    def bits(self, count: int) -> int:
        # A function that somebody kept outlives the seed.
        own = self.generator or random.SystemRandom()
        return own.getrandbits(count)

    def _replace(self, owner: Any, name: str, made: Callable[[Any], Any]) -> None:
        original = getattr(owner, name, None)
        if original is not None:
            self._replaced.append((owner, name, original))
            setattr(owner, name, made(original))

    def _seeding(self, bits: int) -> Callable[[Any], Any]:
        def made(original: Any) -> Any:
            def seed(*args: Any, **kwargs: Any) -> Any:
                given = [*args, *kwargs.values()]
                if given in ([], [None]):
                    return original(self.bits(bits))
                return original(*args, **kwargs)

            return seed

        return made


_ENTROPY = _Entropy()


def seed_entropy(seed: int) -> None:
    """From now on until `leave_entropy`, or until a state is put back."""
    _ENTROPY.begin(random.Random(seed))


def leave_entropy() -> None:
    """Let the system's own be drawn again."""
    _ENTROPY.end()


def entropy_state() -> Any | None:
    """Where the generator is; None where the system's own is drawn."""
    return None if _ENTROPY.generator is None else _ENTROPY.generator.getstate()


def set_entropy_state(state: Any | None) -> None:
    """The inverse of `entropy_state`."""
    if state is None:
        _ENTROPY.end()
        return
    generator = random.Random()
    generator.setstate(state)
    _ENTROPY.begin(generator)
