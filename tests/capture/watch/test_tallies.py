"""What a test's own code counts in, found from a layer and put back."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.watch.tallies import Tallies, is_users

GLOBAL: list[int] = []
NESTED: dict[str, list[int]] = {"calls": []}


def lambda_of(function: Callable[[Any], Any]) -> Any:
    return keras.layers.Lambda(function)


def by_list() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    calls: list[int] = []

    def count(x: Any) -> Any:
        calls.append(1)
        return x

    return count, lambda: list(calls)


def by_number() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    calls = 0

    def count(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return x

    return count, lambda: calls


def by_container(kind: Any) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    kept = kind()

    def count(x: Any) -> Any:
        if isinstance(kept, dict):
            kept[len(kept)] = 1
        elif isinstance(kept, set):
            kept.add(len(kept))
        else:
            kept.append(1)
        return x

    return count, lambda: kind(kept)


def by_array() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    calls = np.zeros(2)

    def count(x: Any) -> Any:
        calls[1] += 1
        return x

    return count, calls.tolist


def by_mock() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    spy = mock.Mock()

    def count(x: Any) -> Any:
        spy(1)
        return x

    return count, lambda: (spy.call_count, spy.called, len(spy.mock_calls), spy.call_args)


def by_global() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    def count(x: Any) -> Any:
        GLOBAL.append(1)
        NESTED["calls"].append(1)
        return x

    return count, lambda: (len(GLOBAL), len(NESTED["calls"]))


def by_helper() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    inner, read = by_list()

    @functools.wraps(inner)
    def decorated(x: Any) -> Any:
        return inner(x)

    return functools.partial(decorated), read


class Counter:
    """A helper of the suite, that no layer inherits from."""

    def __init__(self) -> None:
        self.calls = 0
        self.log: list[int] = []

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        self.log.append(self.calls)
        return x


def by_object() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    counter = Counter()
    return counter, lambda: (counter.calls, len(counter.log))


WAYS: dict[str, Callable[[], tuple[Callable[[Any], Any], Callable[[], Any]]]] = {
    "list": by_list,
    "number": by_number,
    "dict": lambda: by_container(dict),
    "ordered": lambda: by_container(collections.OrderedDict),
    "set": lambda: by_container(set),
    "deque": lambda: by_container(collections.deque),
    "array": by_array,
    "mock": by_mock,
    "global": by_global,
    "helper": by_helper,
    "object": by_object,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_function_counts_is_put_back(way: str) -> None:
    function, read = WAYS[way]()
    layer = lambda_of(function)
    function(1)
    before = read()
    tallies = Tallies(keras.Sequential([layer]))
    function(1)
    assert read() != before
    tallies.restore()
    assert read() == before
    tallies.restore()
    assert read() == before


class Counting(keras.layers.Layer):
    count = 0

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.shapes: list[int] = []
        self.inner = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        self.calls += 1
        self.shapes.append(1)
        return self.inner(x)


def test_attributes_of_a_layer_are_put_back_and_stay_the_very_objects() -> None:
    layer = Counting()
    shapes = layer.shapes
    layer(np.ones((1, 2)))
    before = layer.calls, len(layer.shapes)
    tallies = Tallies(keras.Sequential([layer]))
    layer(np.ones((1, 2)))
    assert (layer.calls, len(layer.shapes)) != before
    tallies.restore()
    assert (layer.calls, len(layer.shapes)) == before
    assert layer.shapes is shapes


def test_what_nobody_counted_stays() -> None:
    """Weights, and what Keras writes of its own into a layer."""
    layer = Counting()
    layer(np.ones((1, 2)))
    tallies = Tallies(layer)
    layer.inner.kernel.assign(np.full((2, 1), 3.0))
    layer.trainable = False
    tallies.restore()
    assert np.asarray(layer.inner.kernel).tolist() == [[3.0], [3.0]]
    assert not layer.trainable


def test_an_empty_cell_and_a_large_array_are_left_alone() -> None:
    large = np.zeros(10_000)

    def count(x: Any) -> Any:
        large[0] += 1
        return later(x)

    tallies = Tallies(lambda_of(count))
    later = SimpleNamespace
    large[0] = 1
    tallies.restore()
    assert large[0] == 1
    assert later is SimpleNamespace


class Hostile:
    """Raises whatever is asked of it, as proxies do that are bound to nothing."""

    @property
    def __dict__(self) -> Any:
        raise RuntimeError("unbound")


def test_objects_that_raise_when_they_are_looked_at_disturb_nothing() -> None:
    calls, hostile = [1], Hostile()

    def count(x: Any) -> Any:
        calls.append(1)
        return hostile

    Tallies(lambda_of(count)).restore()
    assert calls == [1]


def test_whose_classes_are_the_tests_own() -> None:
    assert is_users(Counting)
    assert is_users(Counter)
    assert not is_users(keras.layers.Dense)
    assert not is_users(np.ndarray)
    assert not is_users(mock.Mock)
    assert not is_users(Tallies)
