"""torch's `inference_mode`: tensors that are not counted when they are written."""

from __future__ import annotations

import json

import pytest
from preloaded import runpytest

pytestmark = pytest.mark.torch

CONFTEST = """
import os

import keras

if "FACTOR" in os.environ:
    original = keras.layers.Dense.call

    def changed(self, inputs, training=None):
        return original(self, inputs) * float(os.environ["FACTOR"])

    keras.layers.Dense.call = changed
"""

SUITE = """
import keras
import numpy as np
import pytest
import torch

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)

def made():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden"),
                             keras.layers.LayerNormalization(name="norm")])

def test_model_made_inside():
    with torch.inference_mode():
        made()(X)

def test_model_made_outside():
    one = made()
    with torch.inference_mode():
        one(X)

def test_predict():
    with torch.inference_mode():
        made().predict(X, verbose=0)

def test_written_in_place():
    with torch.inference_mode():
        given = torch.tensor(X)
        one = made()
        first = one(given)
        given += 1.0
        assert not torch.equal(first, one(given))
"""


def test_it_is_captured_and_what_changed_is_blamed(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    suite.makeconftest(CONFTEST)
    suite.makepyfile(SUITE)
    options = ("--golden-auto", "--golden-log=log.json", "-p", "no:randomly")
    runpytest(suite, *options, "--update-goldens").assert_outcomes(passed=4)
    runpytest(suite, *options).assert_outcomes(passed=4)
    monkeypatch.setenv("FACTOR", "1.5")
    runpytest(suite, *options).assert_outcomes(failed=4)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    assert {test["isolation"] for test in tests} == {"complete"}
    assert all(test["local_drift"] for test in tests)
    assert {name.partition("@")[0] for test in tests for name in test["local_drift"]} == {
        "sequential/hidden"
    }
