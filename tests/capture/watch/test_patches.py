"""Patches that watches share, and what stays of them."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import keras

from pytest_keras_golden.capture.watch import patches


class Listening:
    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.heard: list[str] = []

    def intercept(self, method: str, run: patches.Run, /, *args: Any, **kwargs: Any) -> Any:
        self.heard.append(method)
        return run(*args, **kwargs)


class Base:
    def call(self) -> int:
        return 1


def test_a_closed_patch_leaves_the_original() -> None:
    original, watcher = vars(Base)["call"], Listening()
    opened = patches.watch([(Base, "call")], watcher)
    assert Base().call() == 1
    patches.unwatch(opened, watcher)
    assert vars(Base)["call"] is original
    assert Base().call() == 1
    assert watcher.heard == ["call"]


def test_those_of_keras_are_made_once() -> None:
    place, watcher = (keras.layers.Dense, "call"), Listening()
    functions = set()
    for _ in range(2):
        opened = patches.watch([place], watcher)
        functions.add(vars(keras.layers.Dense)["call"])
        patches.unwatch(opened, watcher)
    assert len(functions) == 1


def test_another_original_has_another_patch() -> None:
    """Somebody's own patch in the meantime is not undone."""
    watcher, own = Listening(), vars(keras.layers.Dense)["call"]

    def other(self: Any, inputs: Any) -> Any:
        return own(self, inputs)

    patches.unwatch(patches.watch([(keras.layers.Dense, "call")], watcher), watcher)
    keras.layers.Dense.call = other
    try:
        patches.unwatch(patches.watch([(keras.layers.Dense, "call")], watcher), watcher)
        assert vars(keras.layers.Dense)["call"] is other
    finally:
        keras.layers.Dense.call = own


def test_a_class_of_a_test_is_let_go() -> None:
    class Own(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    watcher = Listening()
    patches.unwatch(patches.watch([(Own, "call")], watcher), watcher)
    gone = weakref.ref(Own)
    del Own
    gc.collect()
    assert gone() is None
