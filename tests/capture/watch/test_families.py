"""What a watch looks for on a side of Keras 2, by a package that has no more than that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from pytest_keras_golden.capture.state.weights import named_weights
from pytest_keras_golden.capture.watch import families, structure
from pytest_keras_golden.capture.watch.calls import is_layer
from pytest_keras_golden.capture.watch.structure import walk
from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stack import FRAMEWORK, framework, keras_2, keras_version, running_stack


class OldLayer:
    def __init__(self, name: str = "", **held: Any) -> None:
        self.name = name
        vars(self).update(held)


class OldModel(OldLayer):
    _is_graph_network = True


class OldSequential(OldModel):
    pass


class OldInput(OldLayer):
    pass


class DepthwiseConv2D(OldLayer):
    pass


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    layers = SimpleNamespace(Layer=OldLayer, InputLayer=OldInput)
    package = SimpleNamespace(
        layers=layers, Model=OldModel, Sequential=OldSequential, __version__="2.21.0"
    )
    monkeypatch.setenv(FRAMEWORK, "tf_keras")
    monkeypatch.setitem(sys.modules, "tf_keras", package)
    remembered = (structure._is_node_class, structure._is_worth_class, families._classes)
    for function in remembered:
        function.cache_clear()
    yield package
    for function in remembered:
        function.cache_clear()


def test_elsewhere_there_is_keras_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FRAMEWORK, raising=False)
    assert families.families() == (keras,)
    assert keras_2() is None
    assert framework() is keras
    assert not is_layer(OldLayer())


def test_layers_of_both_are_layers(old: Any) -> None:
    assert families.families() == (keras, old)
    assert is_layer(OldLayer())
    assert is_layer(keras.layers.Identity())
    assert framework() is old


def test_its_goldens_are_filed_under_its_name(old: Any) -> None:
    assert keras_version() == "tf_keras 2.21.0"
    assert running_stack()["keras"] == "tf_keras 2.21.0"


def test_a_graph_is_walked_once_past_what_lists_its_layers_again(old: Any) -> None:
    dense, given = OldLayer("head"), OldInput("given")
    model = OldModel(
        layers=[given, dense],
        _self_tracked_trackables=[given, dense],
        _output_layers=[dense],
        own=OldLayer("inner"),
    )
    assert [path for path, _ in walk(model)] == ["", "head", "own", "layers/0"]


def test_a_model_that_is_no_graph_has_none(old: Any) -> None:
    model = OldModel(layers=[])
    model._is_graph_network = False
    assert families.old_graph(model) is None
    assert families.old_graph(OldLayer()) is None


def test_weights_go_by_the_names_that_keras_3_has(old: Any) -> None:
    import numpy as np

    kernel, bias = np.ones(2), np.zeros(1)
    held = {"_trainable_weights": [kernel, bias], "bias": bias}
    layer = DepthwiseConv2D(depthwise_kernel=kernel, **held)
    assert list(named_weights(layer)) == ["kernel", "bias"]
    other = OldLayer(depthwise_kernel=kernel, **held)
    assert list(named_weights(other)) == ["depthwise_kernel", "bias"]


def test_without_the_package_its_side_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FRAMEWORK, "tf_keras")
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(StackError, match="tf_keras cannot be imported"):
        keras_2()
