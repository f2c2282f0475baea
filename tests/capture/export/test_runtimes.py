"""What a runtime needs, said in one sentence, and how an artefact is fed."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.capture.export import runtimes
from pytest_keras_golden.capture.export.runtimes import RUNTIMES, Feed, called, demand_able, fed
from pytest_keras_golden.errors import StackError

ONE, TWO = np.ones(1, "float32"), np.ones(2, "float32")


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    def on(backend: str, version: str = "3.15.1", exports: tuple[str, ...] = ()) -> None:
        keras = SimpleNamespace(
            __version__=version, backend=SimpleNamespace(backend=lambda: backend)
        )
        module = SimpleNamespace(**dict.fromkeys(exports))
        monkeypatch.setattr(runtimes, "import_keras", lambda: keras)
        monkeypatch.setattr(runtimes, "import_module", lambda name: module)
        monkeypatch.setattr(runtimes, "_is_there", lambda module: module == "tensorflow")

    return on


EVERY = tuple(runtime.function for runtime in RUNTIMES.values() if runtime.function)


def test_keras_itself_needs_nothing(on: Any) -> None:
    on("numpy")
    demand_able("keras")


def test_a_release_that_lacks_the_format_names_the_first_that_has_it(on: Any) -> None:
    on("tensorflow", "3.7.0")
    wanted = "run=onnx: Keras 3.7.0 exports no ONNX; the first release that does is 3.8.0."
    with pytest.raises(StackError, match=re.escape(wanted)) as refused:
        demand_able("onnx")
    assert refused.value.fix == "Name one that does: 3.8.0,run=onnx"


def test_a_backend_that_cannot_export_names_one_that_can(on: Any) -> None:
    on("jax", exports=EVERY)
    with pytest.raises(StackError, match="exports no LiteRT on jax") as refused:
        demand_able("litert")
    assert refused.value.fix == "Export on another backend: backend=tensorflow,run=litert"


def test_what_is_not_installed_is_named_with_the_extra(on: Any) -> None:
    on("tensorflow", exports=EVERY)
    demand_able("savedmodel")
    with pytest.raises(StackError, match="on tensorflow needs ai-edge-litert, which") as refused:
        demand_able("litert")
    assert refused.value.fix == f"{runtimes.EXTRA}, or pip install ai-edge-litert"


def test_what_the_extra_lacks_is_told_with_another_backend(on: Any) -> None:
    on("jax", exports=EVERY)
    with pytest.raises(StackError, match="needs onnxruntime jax2onnx") as refused:
        demand_able("onnx")
    assert refused.value.fix == (
        "pip install onnxruntime jax2onnx; or export on another backend: backend=torch,run=onnx"
    )


def test_inputs_go_by_name_where_the_artefact_has_kerass() -> None:
    feed = Feed([ONE, TWO], ["a", "b"], None)
    assert fed(feed, ["b", "a"]) == {"b": TWO, "a": ONE}


def test_inputs_go_by_place_under_other_names() -> None:
    feed = Feed([ONE, TWO], ["a", "b"], None)
    assert fed(feed, ["x", "y"]) == {"x": ONE, "y": TWO}


def test_an_input_of_several_names_goes_by_kerass() -> None:
    assert called({"62", "indices", "words"}, ["numbers", "words"]) == "words"
    assert called({"62", "indices"}, ["numbers", "words"]) == "62"
    assert called(set(), ["numbers"]) == ""


def test_an_artefact_that_takes_other_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="takes 3 inputs, the model 1"):
        fed(Feed([ONE], ["a"], None), ["a", "b", "c"])


def test_outputs_are_counted_as_numbers() -> None:
    names = ["output_10", "output_2", "output_0"]
    assert sorted(names, key=runtimes._number) == ["output_0", "output_2", "output_10"]
