"""A pytest plugin that runs the first steps of every `fit` and `evaluate` twice, and does no more.

It reads nothing, compares nothing and keeps nothing: what it costs is what any observer costs that
leaves a test the numbers of a program that nobody watches, and watches another. On jax, where
steps are compiled.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_keras_golden.capture.record.beside import SecondRun
from pytest_keras_golden.capture.state.models import instance_attribute

STEPS = 3
"""As many as are recorded by default."""


class Twice:
    """A step's function, and a program of its own of the same step beside it."""

    def __init__(self, plain: Any, second: Any) -> None:
        self.plain, self.second, self.left = plain, second, STEPS

    def __call__(self, *args: Any) -> Any:
        if not self.left:
            return self.plain(*args)
        self.left -= 1
        args, again = SecondRun.of(args)
        returned = self.plain(*args)
        self.second(*again.args())
        return returned


def _another(step: Any) -> Any:
    def another(*args: Any, **kwargs: Any) -> Any:
        return step(*args, **kwargs)

    return another


def _doubled(make: Any, name: str) -> Any:
    own = name.replace("_function", "_step")

    def doubled(model: Any, force: bool = False) -> Any:
        known = getattr(model, name, None)
        if isinstance(known, Twice) and not force:
            known.left = STEPS
            return known
        returned = make(model, force)
        plain = getattr(model, name)
        if model.run_eagerly or not model.jit_compile:
            return returned
        # jax finds what it compiled for an equal function; a program that is watched is another.
        setattr(model, name, None)
        with instance_attribute(model, own, _another(getattr(model, own))):
            make(model, True)
            second = getattr(model, name)
        setattr(model, name, Twice(plain, second))
        return returned

    return doubled


@pytest.hookimpl
def pytest_collection_finish() -> None:
    import keras

    for step in ("train", "test"):
        name = f"make_{step}_function"
        # Where it is defined: what mixes a trainer with another layer than a model has it too.
        trainer = next(one for one in keras.Model.__mro__ if name in vars(one))
        setattr(trainer, name, _doubled(getattr(trainer, name), f"{step}_function"))
