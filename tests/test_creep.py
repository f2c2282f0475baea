"""Steps that each pass and add up: against the oldest golden of a test, on real golden files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_keras_golden.commands.accept import recording
from pytest_keras_golden.names import Slot
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.files import save

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
    """A golden as a run under that Keras version would have left it."""
    test = run(suite, offset, "--update-goldens")
    path = Path(test["golden"])
    with Golden.open(path) as golden:
        taken = recording(golden, None)
    slot = Slot.parse(path.name)
    assert slot is not None
    path.unlink()
    stack = {**taken.header.stack, "keras": version}
    older = path.with_name(replace(slot, keras=version).filename)
    save(older, replace(taken, header=replace(taken.header, stack=stack)), suite.path / "locks")


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
