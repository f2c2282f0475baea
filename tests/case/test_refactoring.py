"""Everyday refactoring of a model: which names are gone, new or others, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

MODEL = """
    import keras
    import numpy as np

    def model():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        x = inputs
        {layers}
        return keras.Model(inputs, x)

    def test_model(golden_tensors):
        made = model()
        {fill}
        with golden_tensors.capture(made, select="*"):
            made(np.ones((2, 4), "float32"))
"""
NAMED = 'x = keras.layers.Dense(4, name="{}")(x)'
COUNTED = "x = keras.layers.Dense({})(x)"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester) -> Run:
    """Run a model of these layers; the log of its one test."""

    def run(layers: list[str], *arguments: str, fill: str = "pass") -> dict[str, Any]:
        body = ("\n" + 8 * " ").join(layers)
        suite.makepyfile(test_model=MODEL.format(layers=body, fill=fill))
        suite.runpytest_inprocess(
            "--golden-log=log.json", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments
        )
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        return dict(test)

    return run


def aliased(suite: pytest.Pytester, test: dict[str, Any]) -> None:
    lines = "\n".join(f"  {old} -> {new}" for old, new in test["names"]["aliases"])
    suite.makeini(f"[pytest]\ngolden_aliases =\n{lines}\n")


@pytest.mark.parametrize("fill", ["pass", "golden_tensors.fill_weights(made)"], ids=["own", "fill"])
def test_the_suggested_aliases_of_renamed_layers_let_the_test_pass(
    suite: pytest.Pytester, run: Run, fill: str
) -> None:
    old = [NAMED.format(f"stage_{at}") for at in range(3)]
    new = [NAMED.format(f"block_{at}") for at in range(3)]
    run(old, "--update-goldens", fill=fill)
    moved = run(new, fill=fill)
    assert moved["outcome"] == "failed"
    assert moved["names"]["aliases"] == [["block_*", "stage_*"]]
    # No other name is guessed from its spelling.
    assert not any("nearest" in (tensor["note"] or "") for tensor in moved["tensors"])
    aliased(suite, moved)
    assert run(new, fill=fill)["outcome"] == "passed"


def test_a_layer_more_is_said_to_be_new_and_the_others_keep_their_golden(
    suite: pytest.Pytester, run: Run
) -> None:
    """Layers are counted by class: one more in front, and each name stands for another layer."""
    old = [COUNTED.format(width) for width in (5, 6)]
    run(old, "--update-goldens")
    moved = run([*old[:1], COUNTED.format(7), *old[1:]])
    assert moved["outcome"] == "failed"
    assert (moved["names"]["gone"], moved["names"]["new"]) == ([], ["dense#1"])
    assert [pair["golden"] for pair in moved["names"]["renamed"]] == ["dense#1"]


def test_layers_that_changed_places_are_no_aliases(run: Run) -> None:
    branches = [
        'a = keras.layers.Dense(4, name="a", kernel_initializer="ones")(x)',
        'b = keras.layers.Dense(4, name="b", kernel_initializer="zeros")(x)',
        "x = keras.layers.Concatenate()([a, b])",
    ]
    swapped = [line.replace("ones", "…").replace("zeros", "ones") for line in branches]
    run(branches, "--update-goldens")
    names = run([line.replace("…", "zeros") for line in swapped])["names"]
    assert {(pair["run"], pair["golden"]) for pair in names["moved"]} == {("a", "b"), ("b", "a")}
    assert names["aliases"] == []


def test_nothing_is_said_of_names_where_numbers_alone_moved(run: Run) -> None:
    run([NAMED.format("a"), "x = x * 1.0"], "--update-goldens")
    moved = run([NAMED.format("a"), "x = x * 2.0"])
    assert (moved["outcome"], moved["names"]) == ("failed", None)


def test_weights_filled_without_the_fixture_have_the_golden_s_names_too(
    suite: pytest.Pytester,
) -> None:
    """Suites fill weights where they build their model, and have no fixture there."""
    source = """
        import keras
        import numpy as np
        import pytest
        from pytest_keras_golden.case.fixture import GoldenTensors

        @pytest.fixture
        def model():
            inputs = keras.Input((4,))
            made = keras.Model(inputs, keras.layers.Dense(3, name="{}")(inputs))
            GoldenTensors.fill_weights(made)
            return made

        @pytest.mark.keras_versions
        def test_model(model):
            model(np.ones((2, 4), "float32"))
    """
    suite.makepyfile(test_model=source.format("old"))
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=1)
    suite.makepyfile(test_model=source.format("new"))
    suite.runpytest_inprocess("--golden-log=log.json").assert_outcomes(failed=1)
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    aliased(suite, test)
    suite.runpytest_inprocess().assert_outcomes(passed=1)
