"""Inputs made without a user: what they may hold, and that they never change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.errors import SavedModelError
from pytest_keras_golden.saved.formats import ModelFile
from pytest_keras_golden.saved.inputs.brought import brought_case, inputs_beside
from pytest_keras_golden.saved.inputs.coverage import Coverage
from pytest_keras_golden.saved.inputs.description import Description, InputSpec, describe_inputs
from pytest_keras_golden.saved.inputs.made import InputCase, made_cases


def layer(kind: str, name: str, source: str | None = None, **config: Any) -> dict[str, Any]:
    history = {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
    nodes = [] if source is None else [{"args": [history], "kwargs": {}}]
    own = {"name": name, **config}
    return {"class_name": kind, "name": name, "config": own, "inbound_nodes": nodes}


def entry(name: str, *shape: int | None, dtype: str = "float32") -> dict[str, Any]:
    return layer("InputLayer", name, batch_shape=[None, *shape], dtype=dtype)


def graph(*layers: dict[str, Any], inputs: Any) -> dict[str, Any]:
    return {"class_name": "Functional", "config": {"layers": list(layers), "input_layers": inputs}}


def cases(config: dict[str, Any]) -> dict[str, InputCase]:
    described = describe_inputs(config)
    assert described is not None
    return {case.name: case for case in made_cases(described, None)}


def test_ids_stay_inside_the_table_that_reads_them() -> None:
    made = cases(
        graph(
            entry("ids", None, dtype="int32"),
            layer("Reshape", "passed", "ids"),
            layer("Embedding", "table", "passed", input_dim=7),
            inputs=[["ids", 0, 0]],
        )
    )
    assert set(made) == {"ordinary", "padded", "extremes"}
    for case in made.values():
        ids = case.arrays["ids"]
        assert (ids.dtype, ids.shape) == (np.int32, (3, 8))
        assert ids.min() >= 0
        assert ids.max() < 7
    assert set(np.unique(made["extremes"].arrays["ids"])) == {0, 6}


def test_padding_is_real_where_0_is_masked() -> None:
    made = cases(
        graph(
            entry("ids", 6, dtype="int32"),
            layer("Embedding", "table", "ids", input_dim=9, mask_zero=True),
            inputs=["ids", 0, 0],
        )
    )
    lengths = (made["ordinary"].arrays["ids"] > 0).sum(axis=1)
    assert lengths[0] == 6
    assert lengths.min() < 6
    assert ((made["padded"].arrays["ids"] > 0).sum(axis=1) == 1).all()


def test_masks_and_ids_agree() -> None:
    made = cases(
        graph(
            entry("token_ids", 6, dtype="int32"),
            entry("padding_mask", 6, dtype="int32"),
            layer("Embedding", "table", "token_ids", input_dim=9),
            inputs={"token_ids": ["token_ids", 0, 0], "padding_mask": ["padding_mask", 0, 0]},
        )
    )
    argument = made["padded"].argument
    assert set(argument) == {"token_ids", "padding_mask"}
    assert argument["padding_mask"].sum() == 3
    assert (argument["token_ids"][:, 1:] == 0).all()


@pytest.mark.parametrize(
    ("reader", "low", "high"),
    [
        (layer("Rescaling", "r", "x", scale=1 / 255, offset=0.0), 0.0, 255.0),
        (layer("Rescaling", "r", "x", scale=1 / 127.5, offset=-1.0), 0.0, 255.0),
        (layer("Normalization", "n", "x", mean=[40.0], variance=[4.0]), 36.0, 44.0),
        (layer("Discretization", "d", "x", bin_boundaries=[0.0, 9.0]), -1.0, 10.0),
        (layer("Dense", "d", "x", units=3), -1.7320508, 1.7320508),
    ],
)
def test_numbers_have_the_range_of_what_reads_them(
    reader: dict[str, Any], low: float, high: float
) -> None:
    made = cases(graph(entry("x", 5), reader, inputs=["x", 0, 0]))
    values = made["ordinary"].arrays["x"]
    assert values.min() >= low - 1e-4
    assert values.max() <= high + 1e-4
    assert values.std() > (high - low) / 10
    assert made["extremes"].arrays["x"].max() >= high - 1e-4


def test_a_sequential_model_is_described_by_its_first_layer() -> None:
    described = describe_inputs(
        {
            "class_name": "Sequential",
            "config": {"layers": [entry("in", 4), layer("Dense", "d", units=2)]},
        }
    )
    assert described is not None
    assert described.inputs["in"].shape == (None, 4)


def test_readers_inside_nested_models_are_found() -> None:
    inner = graph(
        entry("inner_ids", 4, dtype="int32"),
        layer("Embedding", "table", "inner_ids", input_dim=5),
        inputs=["inner_ids", 0, 0],
    )
    nested = layer("Functional", "nested", "ids", **inner["config"])
    made = cases(graph(entry("ids", 4, dtype="int32"), nested, inputs=["ids", 0, 0]))
    assert made["extremes"].arrays["ids"].max() == 4


def test_texts_are_words_of_the_vocabulary() -> None:
    made = cases(
        graph(
            entry("word", 1, dtype="string"),
            layer("StringLookup", "s", "word", vocabulary=["[UNK]", "red", "green"]),
            inputs=["word", 0, 0],
        )
    )
    assert set(made["ordinary"].arrays["word"].reshape(-1)) <= {"red", "green"}
    assert "green" in made["extremes"].arrays["word"]


def test_made_inputs_never_change() -> None:
    """Other numbers would make every golden of a saved model incomparable."""
    made = cases(graph(entry("x", 2), layer("Dense", "d", "x", units=1), inputs=["x", 0, 0]))
    expected = [[0.176162899, 0.290219724], [1.07559419, -1.66915929], [0.762519121, -0.463519186]]
    np.testing.assert_array_equal(made["ordinary"].arrays["x"], np.float32(expected))


@pytest.mark.parametrize("config", [{}, {"class_name": "Mine", "config": {}}, {"config": 3}])
def test_what_tells_nothing_is_not_guessed(config: dict[str, Any]) -> None:
    assert describe_inputs(config) is None


# -- brought --------------------------------------------------------------------------------

TWO = Description(
    {"a": InputSpec("a", (None, 2), "float32"), "b": InputSpec("b", (None,), "int32")}, ["a", "b"]
)


def test_inputs_beside_the_file_are_found(tmp_path: Path) -> None:
    file = ModelFile(tmp_path / "churn.weights.h5", "churn.weights.h5", "weights")
    assert inputs_beside(file) is None
    np.savez(tmp_path / "churn.inputs.npz", a=np.ones((2, 2)), b=np.ones(2))
    found = inputs_beside(file)
    assert found is not None
    assert [a.shape for a in brought_case(found, TWO).argument] == [(2, 2), (2,)]


def test_json_takes_the_dtypes_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "churn.inputs.json"
    path.write_text(json.dumps({"a": [[1, 2]], "b": [3]}))
    assert [a.dtype for a in brought_case(path, TWO).argument] == [np.float32, np.int32]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("i.npz", b"no archive"),
        ("i.json", b"{"),
        ("i.json", b'{"a": [[1, 2]]}'),
        ("i.json", b"{}"),
        ("i.json", b'{"a": [[1], [1, 2]], "b": [1]}'),
    ],
)
def test_bad_inputs_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SavedModelError, match=name):
        brought_case(tmp_path / name, TWO)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(SavedModelError, match="allow_pickle"):
        brought_case(tmp_path / "i.npz", None)


# -- coverage -------------------------------------------------------------------------------


def test_degenerate_layers_are_told_and_others_are_not() -> None:
    alive = np.array([[0.0, 1.0], [2.0, 0.0]], np.float32)
    dead = np.array([[0.0, 1.0], [0.0, 2.0]], np.float32)
    flat = np.array([[3.0, 1.0], [3.0, 2.0]], np.float32)
    sure = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    coverage = Coverage()
    coverage.add({"relu": dead, "fine": alive, "flat": flat, "softmax": sure})
    assert coverage.degenerate() == [
        "always 0: relu (1 of 2 channels)",
        "constant: flat (1 of 2 channels)",
        "saturated: softmax",
    ]
    # Another case in which they do say something.
    coverage.add({"relu": alive, "flat": alive, "softmax": np.full((2, 2), 0.5, np.float32)})
    assert coverage.degenerate() == []
