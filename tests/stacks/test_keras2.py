"""Sides of Keras 2: which ones are, what they need, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError, StackError
from pytest_keras_golden.stack import FRAMEWORK
from pytest_keras_golden.stacks.chosen import Package, Release, Stack, parts, run_alike
from pytest_keras_golden.stacks.environment import Environment, Installed
from pytest_keras_golden.stacks.grammar import parse_side
from pytest_keras_golden.stacks.keras2 import family_switches
from pytest_keras_golden.stacks.mixtures import mixture
from pytest_keras_golden.stacks.switches import variables


def environment(*names: str) -> Environment:
    installed = {name: Installed("3.15.1", Path("/site")) for name in ("keras", *names)}
    return Environment(Path("/python"), "tag", {}, installed)


WITH = environment("tensorflow-cpu")


def switches(text: str, version: str | None = None) -> dict[str, str]:
    return family_switches(parse_side(text), version, WITH)


def stack(text: str, *packages: Package) -> Stack:
    return Stack(text, WITH, {package.name: package for package in packages}, switches(text))


OLD = stack("tf_keras==2.21.0", Package("tf-keras", "2.21.0", Release()))
NEW = stack("keras==3.15.1")


def test_what_pins_tf_keras_alone_runs_keras_2_on_tensorflow() -> None:
    expected = {"backend": "tensorflow", "framework": "tf_keras"}
    assert switches("tf_keras==2.21.0") == expected
    assert switches("tf-keras==2.21.0,tensorflow-cpu==2.21.0") == expected
    told = variables(expected)
    assert (told["KERAS_BACKEND"], told[FRAMEWORK]) == ("tensorflow", "tf_keras")
    assert told["TF_USE_LEGACY_KERAS"] == "1"


@pytest.mark.parametrize("text", ["tf_keras==2.21.0,keras==3.15.1", "keras==3.15.1", "jax==0.8.1"])
def test_beside_a_keras_it_is_a_package_like_others(text: str) -> None:
    assert switches(text) == {}


def test_nor_does_a_bump_of_it_by_its_version_run_keras_2() -> None:
    assert switches("tf_keras==2.21.0", version="3.15.1") == {}


def test_another_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="TensorFlow alone"):
        switches("tf_keras==2.21.0,backend=jax")


def test_tensorflow_has_to_be_there() -> None:
    with pytest.raises(StackError, match="which this environment lacks") as raised:
        family_switches(parse_side("tf_keras==2.21.0"), None, environment())
    assert "pip install tensorflow-cpu" in str(raised.value)
    side = parse_side("tf_keras==2.21.0,tensorflow==2.21.0")
    assert family_switches(side, None, environment())["backend"] == "tensorflow"


def test_it_stands_in_the_place_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert parts(OLD, [OLD, NEW]) == {"keras": "tf_keras 2.21.0", "backend": "tensorflow"}
    assert parts(NEW, [OLD, NEW]) == {"keras": "3.15.1", "backend": "jax"}
    older = stack("tf_keras==2.19.0", Package("tf-keras", "2.19.0", Release()))
    assert parts(older, [older, OLD])["keras"] == "tf_keras 2.19.0"


def test_it_cannot_be_mixed_with_keras_3() -> None:
    with pytest.raises(StackError, match="cannot be mixed"):
        mixture(OLD, NEW, {"backend"})


def test_no_export_is_compared_with_it() -> None:
    old, new = stack("tf_keras==2.21.0"), stack("run=onnx")
    with pytest.raises(ConfigError, match="a side of tf_keras has none"):
        run_alike([old, new])
    assert [side.switches["run"] for side in run_alike([stack("keras==3.15.1"), new])] == [
        "keras",
        "onnx",
    ]
