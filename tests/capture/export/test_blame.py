"""Layers that a runtime computes otherwise: here one that is Keras with a layer changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.capture.export.artefact import Exporter, RuntimeOutputs, feed_of
from pytest_keras_golden.capture.export.blame import agreement, blame, exact, numbers, precision_of
from pytest_keras_golden.capture.export.runtimes import RUNTIMES, Feed
from pytest_keras_golden.errors import CaptureError
from pytest_keras_golden.outcomes import is_blamed

X = np.random.default_rng(0).standard_normal((3, 6)).astype("float32")


class Elsewhere(Exporter):
    """Keras as the runtime, with `changed` layers whose weights are another runtime's idea.

    without: a layer that it does not take. inside: layers whose outputs it returns to no one."""

    def __init__(self, *changed: Any, without: Any = None, inside: Sequence[Any] = ()) -> None:
        super().__init__(RUNTIMES["onnx"])
        self.changed, self.without, self.inside = changed, without, inside

    def answer(self, model: Any, feed: Feed) -> RuntimeOutputs:
        if self.without is not None and self.without in model.layers:
            raise CaptureError("ONNX cannot run it: no such operation")
        if model.outputs[0]._keras_history.operation in self.inside:
            raise CaptureError("ONNX cannot run it: it does not return that")
        with scaled(self.changed):
            return RuntimeOutputs(numbers(model(feed.nest)), "float32")


@contextmanager
def scaled(layers: Sequence[Any]) -> Iterator[None]:
    kept = [(v, np.array(numbers(v.value)[0])) for layer in layers for v in layer.weights]
    for variable, value in kept:
        variable.assign(value * 1.1 + 0.1)
    yield
    for variable, value in kept:
        variable.assign(value)


@pytest.fixture
def branched() -> Any:
    import keras

    x = keras.Input((6,), name="x")
    left = keras.layers.Dense(5, name="left")(x)
    right = keras.layers.Dense(5, name="right")(x)
    both = keras.layers.Dense(5, name="both")(left + right)
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5, name="deep")], name="inner")
    return keras.Model(x, keras.layers.Dense(2, name="head")(inner(both)))


def blamed(model: Any, exporter: Exporter) -> tuple[list[str], str]:
    feed = feed_of(model, {"x": X}, X)
    found = blame(model, feed, exporter, "float32")
    return [local.name for local in found.locals if is_blamed(local)], found.isolation


@pytest.mark.parametrize("name", ["left", "both", "head"])
def test_the_layer_that_errs_is_blamed_and_no_other(branched: Any, name: str) -> None:
    names, isolation = blamed(branched, Elsewhere(branched.get_layer(name)))
    assert names == [name]
    assert isolation == "complete"


def test_two_layers_are_both_blamed(branched: Any) -> None:
    layers = [branched.get_layer(name) for name in ("right", "head")]
    names, _ = blamed(branched, Elsewhere(*layers))
    assert sorted(names) == ["head", "right"]


def test_a_layer_of_a_model_within_is_blamed_by_its_path(branched: Any) -> None:
    deep = branched.get_layer("inner").get_layer("deep")
    assert blamed(branched, Elsewhere(deep))[0] == ["inner/deep"]


def test_where_nothing_errs_nothing_is_blamed(branched: Any) -> None:
    assert blamed(branched, Elsewhere()) == ([], "complete")


def test_a_layer_that_no_runtime_takes_is_told(branched: Any) -> None:
    head, left = branched.get_layer("head"), branched.get_layer("left")
    _, isolation = blamed(branched, Elsewhere(left, without=head))
    assert isolation.startswith("unavailable: head alone: ONNX cannot run it")


def test_what_cannot_be_measured_is_counted_where_it_may_be_what_differs(branched: Any) -> None:
    left, both = branched.get_layer("left"), branched.get_layer("both")
    names, isolation = blamed(branched, Elsewhere(both, inside=[both]))
    assert not names
    assert isolation.startswith("unavailable: both alone: ONNX cannot run it")
    assert "1 of 6 layers could not be measured: both" in isolation
    # One that is found, and the rest agrees: what was not measured does nothing to it.
    assert blamed(branched, Elsewhere(left, inside=[both])) == (["left"], "complete")


def test_a_mask_that_is_lost_where_the_graph_is_cut_is_told() -> None:
    import keras

    ids = keras.Input((5,), dtype="int32", name="ids")
    table = keras.layers.Embedding(7, 3, mask_zero=True, name="table")
    model = keras.Model(ids, keras.layers.GRU(2, name="gru")(table(ids)))
    given = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 0]], "int32")
    found = blame(
        model, feed_of(model, {"ids": given}, given), Elsewhere(model.get_layer("gru")), "float32"
    )
    assert [local.name for local in found.locals] == ["gru#0"]
    assert "without the mask of table" in str(found.locals[0].note)


def test_of_code_no_part_can_be_exported() -> None:
    import keras

    class Code(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * 2

    model = Code()
    model(X)
    found = blame(model, feed_of(model, {"x": X}, X), Elsewhere(), "float32")
    assert found.isolation.startswith("unavailable: the model is code")


def test_integers_of_another_width_agree() -> None:
    outputs = RuntimeOutputs([np.arange(4, dtype=np.int32)], "float32")
    assert not is_blamed(agreement("ids", 0, outputs, [np.arange(4, dtype=np.int64)], "float32"))
    assert is_blamed(agreement("ids", 0, outputs, [np.arange(1, 5, dtype=np.int64)], "float32"))


def test_a_runtime_of_lower_precision_is_judged_in_it() -> None:
    wanted = np.random.default_rng(0).standard_normal(500).astype("float32")
    near = wanted * np.float32(1 + 2**-8)
    assert is_blamed(agreement("y", 0, RuntimeOutputs([near], "float32"), [wanted], "float32"))
    assert not is_blamed(agreement("y", 0, RuntimeOutputs([near], "bfloat16"), [wanted], "float32"))


def test_what_a_model_returns_in_higher_precision(branched: Any) -> None:
    assert precision_of(branched) == "float32"
    better = exact(lambda: branched(X), branched, "float32")
    assert better is not None
    own = numbers(branched(X))
    assert better[0].dtype == np.float64
    assert 0 < np.abs(better[0] - own[0]).max() < 1e-5
    assert numbers(branched(X))[0].dtype == np.float32
