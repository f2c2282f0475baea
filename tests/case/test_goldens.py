"""Which golden a test is compared with where a dtype policy changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

LAYER = """
    import os
    import keras
    import numpy as np

    def test_layer():
        keras.layers.Dense(3, dtype=os.environ["POLICY"])(np.ones((2, 4), "float32"))
"""
MODEL = """
    import os
    import keras
    import numpy as np

    def test_model(golden_tensors):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(3, dtype=os.environ["POLICY"])(inputs))
        keras.config.set_dtype_policy("float32")
        model.dtype_policy = keras.dtype_policies.get(os.environ["POLICY"])
        with golden_tensors.capture(model):
            model(np.ones((2, 4), "float32"))
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite with this policy and these arguments; the log of its one test."""

    def run(policy: str, *arguments: str) -> dict[str, Any]:
        monkeypatch.setenv("POLICY", policy)
        suite.runpytest_inprocess(
            "--golden-auto", "--golden-log=log.json", "-p", "no:randomly", *arguments
        )
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        return dict(test)

    return run


def test_a_layer_of_another_policy_is_a_change_of_structure(
    suite: pytest.Pytester, run: Run
) -> None:
    """Which policy a layer has by itself is a matter of the release, and no missing golden."""
    suite.makepyfile(LAYER)
    assert run("float32", "--update-goldens")["outcome"] == "recorded"
    moved = run("bfloat16")
    assert moved["outcome"] == "failed"
    assert [tensor["verdict"] for tensor in moved["tensors"]] == ["structure"]
    assert "bfloat16" in moved["tensors"][0]["note"]
    assert "float32" in moved["tensors"][0]["note"]


def test_each_policy_has_its_golden_where_both_are_recorded(
    suite: pytest.Pytester, run: Run, goldens: Callable[[], list[str]]
) -> None:
    suite.makepyfile(LAYER)
    for policy in ("float32", "bfloat16"):
        assert run(policy, "--update-goldens")["outcome"] == "recorded"
    assert len(goldens()) == 2
    for policy in ("float32", "bfloat16"):
        test = run(policy)
        assert (test["outcome"], policy in str(test["golden"])) == ("passed", True)


def test_a_model_that_a_test_names_is_never_compared_across_policies(
    suite: pytest.Pytester, run: Run
) -> None:
    suite.makepyfile(MODEL)
    assert run("float32", "--update-goldens")["outcome"] == "recorded"
    assert run("bfloat16")["reason"] == "no golden to compare with"
