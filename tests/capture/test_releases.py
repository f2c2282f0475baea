"""Releases × backends × policies × styles: same names, same weights, and nobody noticed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from backends import EVERY
from packaging.version import Version

from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

HERE = Path(__file__).parent
NEWEST = "3.15.1"
RELEASES = ("3.0.5", "3.3.3", "3.5.0", "3.7.0", "3.10.0", NEWEST)
EVERY_RELEASE = tuple(os.environ.get("KERAS_GOLDEN_RELEASES", "").split())
"""The full product of `make matrix`, where set."""

OWN = ("functional", "sequential", "subclassed")
POLICIES = ("float32", "bfloat16")

pytestmark = [pytest.mark.overlay, pytest.mark.slow]


HAS_HUB = importlib.util.find_spec("keras_hub") is not None


def styles_of(release: str) -> tuple[str, ...]:
    """The installed keras-hub needs Keras 3.5."""
    return (*OWN, "llama") if HAS_HUB and Version(release) >= Version("3.5") else OWN


def supported(release: str, backend: str) -> bool:
    return backend != "tensorflow" or Version(release) >= Version("3.5")


@cache
def overlay(release: str) -> Path:
    return ensure_runnable("keras", release)


def cases(release: str, backend: str, styles: tuple[str, ...]) -> dict:
    return shown(release, backend, "release_case.py", *styles)


def shown(release: str, backend: str, script: str, *arguments: str) -> dict:
    """What a script of this folder prints under a release."""
    environment = overlay_environment([overlay(release), HERE, HERE.parents[1]])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / script), *arguments],
        env=environment | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["keras"] == release
    return found["cases"]


Seen = Callable[[str, str], dict]


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    """What each pair of the selected tests shows: a process each, as many as there are cores."""
    chosen = [
        (item.callspec.params["release"], item.callspec.params["backend"])
        for item in request.session.items
        if item.path == Path(__file__) and "backend" in item.callspec.params
    ]
    wanted = [pair for pair in dict.fromkeys([(NEWEST, "jax"), *chosen]) if supported(*pair)]
    for release in dict.fromkeys(release for release, _ in wanted):
        overlay(release)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pair: pool.submit(cases, *pair, styles_of(pair[0])) for pair in wanted}
        yield lambda release, backend: running[release, backend].result()
        pool.shutdown(cancel_futures=True)


def check(seen: Seen, release: str, backend: str, styles: tuple[str, ...]) -> None:
    expected = seen(NEWEST, "jax")
    found = seen(release, backend)
    assert set(found) == {
        f"{style}/{policy}" for style in styles_of(release) for policy in POLICIES
    }
    for name, case in found.items():
        style, _, policy = name.partition("/")
        if style not in styles:
            continue
        assert case["observer"], f"{name}: watching changed the outputs"
        assert case["names"] == expected[name]["names"], name
        assert case["weights"] == expected[name]["weights"], name
        assert case["precision"] == [policy], name
        assert case["isolated"] == [], f"{name}: isolation changed its own recording"
        assert len(case["logits"]) == 1, name
        assert case["agrees"], f"{name}: logits are not the output"


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("release", EVERY_RELEASE or RELEASES)
def test_names_weights_and_outputs_are_the_same(seen, release, backend):
    if not supported(release, backend):
        pytest.skip("this release does not support the installed TensorFlow")
    check(seen, release, backend, OWN)


@pytest.mark.hub
@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize(
    "release", [item for item in EVERY_RELEASE or RELEASES if Version(item) >= Version("3.5")]
)
def test_keras_hub_llama_is_the_same(seen, release, backend):
    check(seen, release, backend, ("llama",))


@pytest.mark.parametrize("release", ["3.0.5"])
def test_every_layer_of_keras_kept_its_names(release):
    """Why the table of aliases for Keras' own layers is empty."""
    old, new = (shown(item, "jax", "layer_names_case.py") for item in (release, NEWEST))
    common = old.keys() & new.keys()
    assert len(common) > 80
    assert {name: old[name] for name in common} == {name: new[name] for name in common}
