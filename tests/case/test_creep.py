"""Steps that each pass and add up: against the oldest golden of a test, on real golden files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SUITE = """
    import numpy as np

    VALUES = np.linspace(1, 2, 64)
    # Of both signs: a bias would be judged systematic.
    SIGNS = np.where(np.arange(64) % 2, 1.0, -1.0)

    def test_value(golden_tensors):
        golden_tensors.check("value", VALUES + {offset} * SIGNS, tolerance="atol=1e-3")
"""


def run(suite: pytest.Pytester, offset: float, *args: str) -> dict[str, Any]:
    suite.makepyfile(SUITE.format(offset=offset))
    suite.runpytest_inprocess("--golden-log=log.json", *args)
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    return dict(test)


def record_as(suite: pytest.Pytester, version: str, offset: float) -> None:
    """A golden as a run under that Keras version leaves it."""
    import keras

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras, "__version__", version)
        test = run(suite, offset, "--update-goldens")
    assert f"keras-{version}-" in Path(test["golden"]).name


def test_small_steps_that_add_up_fail_and_can_be_accepted(suite: pytest.Pytester) -> None:
    record_as(suite, "3.0.1", 0.0)
    record_as(suite, "3.0.2", 0.0038)
    test = run(suite, 0.0045)
    assert (test["outcome"], test["baseline"]) == ("failed", "3.0.2")
    assert test["tensors"][0]["note"].startswith("creep")
    assert run(suite, 0.0045, "--update-goldens")["outcome"] == "recorded"
    assert run(suite, 0.0045)["outcome"] == "passed"


def test_an_accepted_jump_is_no_creep(suite: pytest.Pytester) -> None:
    record_as(suite, "3.0.1", 0.0)
    assert run(suite, 1.0)["outcome"] == "failed"
    assert run(suite, 1.0, "--update-goldens")["outcome"] == "recorded"
    test = run(suite, 1.0)
    assert (test["outcome"], test["tensors"][0]["verdict"]) == ("passed", "identical")
    test = run(suite, 1.0005)
    assert (test["outcome"], test["tensors"][0]["verdict"]) == ("passed", "within")
    assert test["tensors"][0]["extra"]["anchor"]["version"] == "3.0.1"
