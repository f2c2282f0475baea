"""Training that goes wrong: the test goes on as without us, and what was recorded is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trainings
from backends import TRAINING

pytestmark = pytest.mark.processes

CASE = Path(__file__).with_name("bad_training_case.py")

STEPS = {
    "test_raises_between_steps": {0, 1},
    "test_interrupted": {0, 1, 2},
    "test_step_raises": set(),
    "test_goes_on_after_an_error": {0, 1, 2},
    "test_wrong_arguments": set(),
    "test_nan": {0, 1, 2},
    "test_overflow": {0, 1, 2},
    "test_no_epochs": set(),
    "test_yields_nothing": set(),
    "test_yields_other_shapes": {0, 1, 2},
    "test_compiled_twice": {0, 1, 2},
    "test_trains_another_inside": {0, 1, 2},
    "test_callback_writes_weights": {0, 1, 2},
    "test_never_applies": {0, 1, 2},
}
"""Test → the steps of which gradients are recorded, and of the last anything at all."""

UNSEEN = {
    "test_step_raises": ["calls that raised", "fit"],
    "test_wrong_arguments": ["calls that raised", "fit"],
    "test_no_epochs": ["fit"],
    "test_yields_nothing": ["calls that raised", "fit"],
}

CUT_SHORT = {
    "test_raises_between_steps": "fit: what follows step 1, where ZeroDivisionError ended it",
    "test_interrupted": "fit: what follows step 2, where KeyboardInterrupt ended it",
    "test_goes_on_after_an_error": "fit: what follows step 0, where ZeroDivisionError ended it",
}


def steps(test: dict[str, object]) -> set[int]:
    tensors: list[dict[str, str]] = test["tensors"]  # type: ignore[assignment]
    found = (re.match(r"step_(\d+)/(data|updates)/", tensor["name"]) for tensor in tensors)
    return {int(match[1]) for match in found if match}


def outcomes(suite: pytest.Pytester, *options: str) -> dict[str, Any]:
    return trainings.outcomes(suite, "-Werror::RuntimeWarning", *options)


@pytest.mark.parametrize("backend", TRAINING)
def test_what_was_recorded_is_told(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(test_bad=CASE.read_text())
    recorded = outcomes(suite, "--update-goldens")
    assert set(recorded) == set(STEPS)
    wanted = {name: "recorded" if ran else "passed" for name, ran in STEPS.items()}
    assert {name: test["outcome"] for name, test in recorded.items()} == wanted
    again = outcomes(suite)
    assert {test["outcome"] for test in again.values()} == {"passed"}
    for name, test in again.items():
        assert {tensor["verdict"] for tensor in test["tensors"]} <= {"identical"}, name
        assert steps(test) == STEPS[name], name
        assert test["unseen"] == UNSEEN.get(name, []), name
        said = " ".join(test["warnings"])
        assert CUT_SHORT.get(name, "") in said, name
        assert bool(said) == (name in CUT_SHORT), (name, said)
