"""Vocabularies that a loader gets wrong: which layer's, how much of it, and the first word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_keras_golden.capture.loading.judged import loading_faults
from pytest_keras_golden.saved.contents import SavedContents, read_contents
from pytest_keras_golden.saved.formats import ModelFile

pytestmark = [
    # Which these layers are made of, on every backend.
    pytest.mark.tensorflow,
    pytest.mark.any_backend,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(params=["adapted", "told"])
def saved(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Any, SavedContents]:
    """A model that was loaded as it was saved, and its file. A layer that was told its words has
    them in the configuration, one that was adapted beside it."""
    import keras

    path = tmp_path / "m.keras"
    given: dict[str, Any] = {
        "colour": ["red", "green", "blue"],
        "text": ["fox", "dog"],
        "number": [0, 7],
    }
    told = given if request.param == "told" else dict.fromkeys(given)
    lookup = keras.layers.StringLookup(vocabulary=told["colour"], name="colour")
    text = keras.layers.TextVectorization(vocabulary=told["text"], name="text")
    number = keras.layers.IntegerLookup(vocabulary=told["number"], name="number")
    for layer in (lookup, text, number):
        if told[layer.name] is None:
            layer.set_vocabulary(given[layer.name])
    inputs = [keras.Input((1,), dtype=kind) for kind in ("string", "string", "int64")]
    layers = (lookup, text, number)
    keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs, strict=True)]).save(path)
    contents = read_contents(ModelFile(path, path.name, "keras"))
    return keras.saving.load_model(path), contents


def test_what_was_loaded_as_it_was_saved_is_no_fault(saved: tuple[Any, SavedContents]) -> None:
    assert not loading_faults(*saved)


@pytest.mark.parametrize(
    ("layer", "words", "said"),
    [
        (
            "colour",
            ["blue", "green", "red"],
            "differs in 2 of 3 words (the same words in another order): "
            "the first is 'blue', in the file 'red'",
        ),
        (
            "text",
            ["fox", "cat"],
            "differs in 1 of 2 words: the first is 'cat', in the file 'dog'",
        ),
        ("text", ["fox", "dog", "cat"], "has 3 words, in the file 2"),
        ("colour", ["red"], "has 1 of 3 words; without 'green' and 1 more"),
    ],
)
def test_another_vocabulary_is_told_once_and_by_its_layer(
    saved: tuple[Any, SavedContents], layer: str, words: list[str], said: str
) -> None:
    model, contents = saved
    model.get_layer(layer).set_vocabulary(words)
    told = [fault for fault in loading_faults(model, contents) if fault.kind == "vocabulary"]
    assert [(fault.name, fault.said) for fault in told] == [(f"{layer}.vocabulary", said)]
