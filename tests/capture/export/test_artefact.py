"""Models as artefacts: by what `export` takes, for open shapes and else for fixed ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.capture.export.artefact import Exporter, feed_of, reason
from pytest_keras_golden.capture.export.runtimes import RUNTIMES, Artefact, Feed
from pytest_keras_golden.errors import CaptureError

X = np.ones((3, 4), "float32")
FEED = Feed([X], ["x"], X)


def doubled(path: Path) -> tuple[Artefact, str]:
    assert path.read_text() == "exported"
    return lambda feed: [2 * array for array in feed.arrays], "float32"


DOUBLING = replace(RUNTIMES["onnx"], load=doubled)


class Model:
    """Exports where `works` says so. given: what it was asked for."""

    def __init__(self, *works: bool) -> None:
        self.works, self.given = list(works), list[dict[str, Any]]()

    def export(
        self, filepath: str, format: str, verbose: bool = True, input_signature: Any = None
    ) -> None:
        self.given.append({"format": format, "verbose": verbose, "signature": input_signature})
        if not self.works.pop(0):
            raise RuntimeError("needs shapes")
        Path(filepath).write_text("exported")


class Old(Model):
    """As in the first releases of Keras 3."""

    def export(self, filepath: str, format: str) -> None:  # type: ignore[override]
        super().export(filepath, format)


def test_a_model_is_exported_once_and_run_often() -> None:
    model, exporter = Model(True), Exporter(DOUBLING)
    for _ in range(2):
        assert exporter.answer(model, FEED).outputs[0].tolist() == (2 * X).tolist()
    assert model.given == [{"format": "onnx", "verbose": False, "signature": None}]
    assert exporter.fixed is None


def test_where_open_shapes_fail_fixed_ones_are_asked_for_and_told() -> None:
    model, exporter = Model(False, True, True), Exporter(DOUBLING)
    exporter.answer(model, FEED)
    assert exporter.fixed == "RuntimeError: needs shapes"
    (spec,) = model.given[1]["signature"]
    assert (spec.shape, spec.dtype, spec.name) == ((3, 4), "float32", "x")
    other = np.ones((5, 4), "float32")
    assert exporter.answer(model, Feed([other], ["x"], other)).outputs[0].shape == (5, 4)


def test_what_no_shapes_help_is_refused_with_the_first_reason() -> None:
    with pytest.raises(CaptureError, match="ONNX cannot run it: RuntimeError: needs shapes"):
        Exporter(DOUBLING).answer(Model(False, False), FEED)


def test_an_old_release_is_asked_for_no_more_than_it_takes() -> None:
    exporter = Exporter(DOUBLING)
    exporter.answer(Old(True), FEED)
    with pytest.raises(CaptureError, match="needs shapes"):
        exporter.answer(Old(False), FEED)


def test_inputs_are_in_the_order_of_the_model_and_of_its_dtypes() -> None:
    import keras

    a, b = keras.Input((2,), name="a"), keras.Input((3,), dtype="int32", name="b")
    model = keras.Model({"b": b, "a": a}, keras.layers.Concatenate()([a, keras.ops.cast(b, float)]))
    arrays = {"b": np.ones((1, 3), "int64"), "a": np.ones((1, 2), "float32")}
    feed = feed_of(model, arrays, arrays)
    assert list(feed.names) == ["a", "b"]
    assert [str(array.dtype) for array in feed.arrays] == ["float32", "int32"]
    assert set(feed.nest) == {"a", "b"}
    assert feed.nest["b"].shape == (1, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Check 'false' failed at src/x.cpp:1:\nSummary:\n-- No conversion rule found for "
            "operations: Foo\nMore",
            "-- No conversion rule found for operations: Foo",
        ),
        ("Exception from src/core.cpp:132:\nunsupported type", "unsupported type"),
        ("plain", "plain"),
    ],
)
def test_the_reason_is_the_line_that_says_it(text: str, said: str) -> None:
    assert reason(RuntimeError(text)) == f"RuntimeError: {said}"
