"""Six changes of Keras' own history, found again: the release, and the commit where a clone is.

KERAS_GOLDEN_KERAS_REPO names a git clone of Keras (bare or not) for the commit part.
"""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from suites import NORM, as_json, keras_golden, suite

pytestmark = [pytest.mark.overlay, pytest.mark.slow]

CLONE = os.environ.get("KERAS_GOLDEN_KERAS_REPO")

HEAD = """
import keras
import numpy as np

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 6, 64)).astype("float32") + 1


def test_layer():
"""


@dataclass(frozen=True)
class Change:
    """What moved: between which releases to look, the release and commit that did it."""

    body: str
    good: str
    bad: str
    release: str
    commit: str
    guilty: str
    backend: str = "jax"


CHANGES = {
    "bfloat16 LayerNormalization computes in float32": Change(
        body="keras.layers.LayerNormalization(dtype='bfloat16', name='norm')(X + 30)",
        good="3.4.0",
        bad="3.8.0",
        release="3.6.0",
        commit="85e3681877",
        guilty="norm",
    ),
    "MultiHeadAttention's fused path": Change(
        body=(
            "layer = keras.layers.MultiHeadAttention(4, 16, dtype='bfloat16', name='attention')\n"
            "    layer(X * 50, X * 50)"
        ),
        good="3.5.0",
        bad="3.9.0",
        release="3.7.0",
        commit="5bf4ac7a66",
        guilty="attention",
    ),
    "LayerNormalization(rms_scaling=True, axis=1)": Change(
        body=(
            "gamma = keras.initializers.RandomNormal(1.0, 0.5, seed=0)\n"
            "    keras.layers.LayerNormalization(\n"
            "        rms_scaling=True, axis=1, gamma_initializer=gamma, name='norm'\n"
            "    )(X[:, :, :6])"
        ),
        good="3.3.2",
        bad="3.5.0",
        release="3.4.0",
        commit="89b8acb7bc",
        guilty="norm",
    ),
    "masked Softmax of a fully masked row": Change(
        body=(
            "mask = np.ones((4, 6, 64), bool)\n"
            "    mask[0, 0], mask[..., 5:] = False, False\n"
            "    keras.layers.Softmax(name='softmax')(X, mask=mask)"
        ),
        good="3.8.0",
        bad="3.11.0",
        release="3.10.0",
        commit="2111fbca07",
        guilty="softmax",
    ),
    "Conv2DTranspose's padding on torch": Change(
        body=(
            "layer = keras.layers.Conv2DTranspose(3, 3, strides=2, padding='same', name='up')\n"
            "    layer(X.reshape(4, 8, 8, 6))"
        ),
        good="3.13.0",
        bad="3.15.1",
        release="3.15.0",
        commit="9125289c5f",
        guilty="conv",
        backend="torch",
    ),
    "RMSNormalization squares small float16 numbers in float32": Change(
        body="keras.layers.RMSNormalization(dtype='float16', name='norm')(X * 5e-4)",
        good="3.9.0",
        bad="3.12.0",
        release="3.11.0",
        commit="6a54c3627d",
        guilty="norm",
    ),
}


def bisected(tmp_path: Path, change: Change, *options: str) -> Any:
    folder = suite(tmp_path / "suite", test_layer=f"{HEAD}    {change.body}\n")
    if importlib.util.find_spec(change.backend) is None:
        pytest.skip(f"{change.backend} is not installed")
    done = keras_golden(
        folder,
        *("bisect", change.good, change.bad, "--json", "-", *options, "--", "test_layer.py"),
        env={"KERAS_BACKEND": change.backend},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return as_json(done)


@pytest.mark.parametrize("name", CHANGES)
def test_the_release_is_found(tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    found = bisected(tmp_path, change)
    assert found["first_bad"] == change.release
    assert found["probes"] <= math.ceil(math.log2(found["releases"])) + 2
    assert any(change.guilty in layer for layer in found["local_drift"])


@pytest.mark.skipif(CLONE is None, reason="KERAS_GOLDEN_KERAS_REPO names no clone of Keras")
@pytest.mark.parametrize("name", CHANGES)
def test_the_commit_is_found(tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    found = bisected(tmp_path, change, "--repo", str(CLONE))
    assert found["commit"]["sha"].startswith(change.commit)
    assert found["commit"]["title"]
    assert found["commit"]["date"].startswith("20")
    assert found["commit_probes"] <= math.ceil(math.log2(max(2, found["commits"]))) + 2
    assert any(change.guilty in layer for layer in found["local_drift"])


@pytest.mark.skipif(CLONE is None, reason="KERAS_GOLDEN_KERAS_REPO names no clone of Keras")
def test_a_red_gate_goes_on_to_the_commit(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    sides = "keras==3.4.1,namex==0.0.8", "keras==3.10.0,namex==0.1.0"
    found = as_json(keras_golden(folder, "gate", *sides, "--repo", str(CLONE), "--json", "-"))
    assert found["culprit"] == [{"name": "keras", "old": "3.4.1", "new": "3.10.0"}]
    since = found["culprit_search"]["since"]
    assert (since["first_bad"], since["last_good"]) == ("3.6.0", "3.5.0")
    assert since["commit"]["sha"].startswith("85e3681877")
