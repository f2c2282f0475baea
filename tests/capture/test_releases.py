"""Releases × backends × policies × styles: same names, same weights, and nobody noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.version import Version

from pytest_keras_golden.versions.neighbours import ensure_runnable
from pytest_keras_golden.versions.overlay import overlay_environment

HERE = Path(__file__).parent
NEWEST = "3.15.1"
RELEASES = ("3.0.5", "3.3.3", "3.5.0", "3.7.0", "3.10.0", NEWEST)
EVERY_RELEASE = tuple(os.environ.get("KERAS_GOLDEN_RELEASES", "").split())
"""The full product of `make matrix`, where set."""

BACKENDS = (
    "jax",
    "numpy",
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("tensorflow", marks=pytest.mark.tensorflow),
)
OWN = ("functional", "sequential", "subclassed")

pytestmark = [pytest.mark.overlay, pytest.mark.slow]


def has_hub(release: str) -> bool:
    """The installed keras-hub needs Keras 3.5."""
    return Version(release) >= Version("3.5")


@cache
def seen(release: str, backend: str, styles: tuple[str, ...]) -> dict:
    environment = overlay_environment([ensure_runnable("keras", release), HERE])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "release_case.py"), *styles],
        env=environment | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["keras"] == release
    return found["cases"]


def check(release: str, backend: str, styles: tuple[str, ...]) -> None:
    expected = seen(NEWEST, "jax", styles)
    for name, case in seen(release, backend, styles).items():
        policy = name.partition("/")[2]
        assert case["observer"], f"{name}: watching changed the outputs"
        assert case["names"] == expected[name]["names"], name
        assert case["weights"] == expected[name]["weights"], name
        assert case["precision"] == [policy], name
        assert case["isolated"] == [], f"{name}: isolation changed its own recording"
        assert len(case["logits"]) == 1, name
        assert case["agrees"], f"{name}: logits are not the output"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("release", EVERY_RELEASE or RELEASES)
def test_names_weights_and_outputs_are_the_same(release, backend):
    if backend == "tensorflow" and release in ("3.0.5", "3.3.3"):
        pytest.skip("these releases do not support the installed TensorFlow")
    check(release, backend, OWN)


@pytest.mark.hub
@pytest.mark.parametrize("backend", [item for item in BACKENDS if item != "numpy"])
@pytest.mark.parametrize("release", [item for item in EVERY_RELEASE or RELEASES if has_hub(item)])
def test_keras_hub_llama_is_the_same(release, backend):
    check(release, backend, ("llama",))
