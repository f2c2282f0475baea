"""The stream that all backends share, in place of each backend's own numbers.

Between two backends nothing that is drawn could be compared: each makes its own numbers of a seed.
In a gate over them both sides draw from this stream instead, in layers, in initializers, and in
compiled steps, since it is made of operations alone.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from ..backends import active
from .distributions import DISTRIBUTIONS
from .standing import Function, StandIns

_STANDING = StandIns()
_drawn_by: set[str] = set()


def share() -> None:
    """From now on until `unshare`, if Keras is there. Once is enough."""
    if not _STANDING and "keras" in sys.modules:
        _STANDING.stand_in(DISTRIBUTIONS.keys(), _drawing)
        _STANDING.stand_in(_DRAWING_INSIDE, _noting, "image")


def unshare() -> None:
    """Let the backend draw again as it does."""
    _STANDING.step_back()
    _drawn_by.clear()


def is_shared() -> bool:
    """Whether backends draw from one stream now, so that states of their generators compare."""
    return bool(_STANDING)


def drawn_by_its_own() -> frozenset[str]:
    """The functions that drew otherwise in this process, while the stream was shared. Once one did,
    nobody knows what compiled steps draw."""
    return frozenset(_drawn_by)


def _drawing(name: str, original: Function) -> Function:
    """The original where a seed is a key that a user made, where shapes alone are asked for, or
    where the stream has no such numbers: that is noted."""

    @wraps(original)
    def drawing(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not _is_seed(kwargs.get("seed")) or _has_no_numbers():
            return original(*args, **kwargs)
        generators = [given for given in (*args, *kwargs.values()) if _is_generator(given)]
        states = [(generator.state, generator.state.value * 1) for generator in generators]
        try:
            return DISTRIBUTIONS[name](*args, **kwargs)
        except Exception:
            for state, before in states:
                state.assign(before)
        # What the original refuses as well is nothing that it drew.
        drawn = original(*args, **kwargs)
        _drawn_by.add(f"keras.random.{name}")
        return drawn

    return drawing


_DRAWING_INSIDE = frozenset({"elastic_transform"})
"""Operations that make numbers of a seed without `keras.random`."""


def _noting(name: str, original: Function) -> Function:
    @wraps(original)
    def noting(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        _drawn_by.add(f"keras.ops.image.{name}")
        return original(*args, **kwargs)

    return noting


def _is_seed(given: Any) -> bool:
    return given is None or isinstance(given, int) or _is_generator(given)


def _is_generator(given: Any) -> bool:
    from keras.src.random.seed_generator import SeedGenerator

    return isinstance(given, SeedGenerator)


def _has_no_numbers() -> bool:
    if active() != "torch":
        return False
    from keras.src.backend.torch.core import get_device

    return bool(get_device() == "meta")
