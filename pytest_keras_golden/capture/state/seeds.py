"""One seed for every generator that a test may draw from, TensorFlow's without importing it.

What a test seeds itself from the system's entropy has a seed, too: `entropy`.

`keras.utils.set_random_seed` imports TensorFlow on every backend, which takes seconds, to seed the
shuffling of `tf.data`. It is seeded here where it is loaded, else when somebody imports it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .entropy import seed_entropy

_NAME = "tensorflow"


def seed_everything(seed: int) -> None:
    """Python, numpy, the backend, Keras and TensorFlow, as `keras.utils.set_random_seed` does.

    Before Keras 3.13 that leaves the generator behind `keras.random` where earlier tests left it.
    Raises StackError where Keras cannot be imported.
    """
    from ...stack import import_keras

    keras = import_keras()
    with tensorflow_left_out():
        keras.utils.set_random_seed(seed)
    set_seed_to_come(seed)
    seed_entropy(seed)
    from keras.src.backend.common import global_state

    global_state.set_global_attribute("global_seed_generator", None)


def seed_to_come() -> int | None:
    """What TensorFlow gets when it is imported."""
    return _TO_COME.seed


def set_seed_to_come(seed: int | None) -> None:
    """None leaves TensorFlow without a seed. Nothing happens where it is loaded."""
    _TO_COME.seed = seed
    if _NAME not in sys.modules and _TO_COME not in sys.meta_path:
        sys.meta_path.insert(0, _TO_COME)


@contextmanager
def tensorflow_left_out() -> Iterator[None]:
    """Inside, Keras takes TensorFlow for not installed, unless it is loaded already."""
    from keras.src.utils import rng_utils

    lazy = getattr(rng_utils, "tf", None)
    if _NAME in sys.modules or getattr(lazy, "_available", True) is not None:
        yield
        return
    vars(lazy)["_available"] = False
    try:
        yield
    finally:
        vars(lazy)["_available"] = None


class _ToCome:
    """A finder of modules that waits for TensorFlow."""

    def __init__(self) -> None:
        self.seed: int | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _NAME:
            return None
        spec = self._spec_of_others(name)
        if spec is not None and spec.loader is not None:
            self._seed_after(spec.loader)
        return spec

    def _spec_of_others(self, name: str) -> ModuleSpec | None:
        # To ask for the spec is not to import: whoever looks whether TensorFlow is there does that.
        sys.meta_path.remove(self)
        try:
            return importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)

    def _seed_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            sys.meta_path.remove(self)
            if self.seed is not None:
                module.random.set_seed(self.seed)

        vars(loader)["exec_module"] = exec_module


_TO_COME = _ToCome()
