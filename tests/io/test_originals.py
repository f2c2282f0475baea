"""Whatever a test patches, its golden is read and written with Python's own."""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pytest_keras_golden.io.originals import forget, originals, remember

FAKE = "pyfakefs.fake_filesystem_unittest"


def boom(*_: object, **__: object) -> Any:
    raise AssertionError("called a mock")


@pytest.fixture
def remembered() -> Iterator[None]:
    remember()
    yield
    forget()


@pytest.mark.usefixtures("remembered")
def test_functions_methods_and_the_environment_are_put_back_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = open, os.replace, Path.exists, os.environ
    known = dict(os.environ)
    monkeypatch.setenv("KERAS_BACKEND", "mocked")
    monkeypatch.setenv("SURELY_NEW", "1")
    monkeypatch.delenv("PATH")
    monkeypatch.setattr(builtins, "open", boom)
    monkeypatch.delattr(os, "replace")
    monkeypatch.setattr(Path, "exists", boom)
    monkeypatch.setattr(type(Path()), "is_dir", boom)  # not where it is defined
    patched = dict(os.environ)
    monkeypatch.setattr(os, "environ", {})
    with originals():
        with originals():
            pass
        assert (open, os.replace, Path.exists, os.environ) == real
        assert Path().is_dir()
        assert dict(os.environ) == known
    assert open is boom
    assert Path.exists is boom
    assert not hasattr(os, "replace")
    assert vars(type(Path()))["is_dir"] is boom
    assert os.environ == {}
    monkeypatch.setattr(os, "environ", real[-1])
    assert dict(os.environ) == patched


def test_of_a_run_in_a_test_the_patches_around_it_are_original(
    monkeypatch: pytest.MonkeyPatch, remembered: None
) -> None:
    monkeypatch.setattr(json, "dumps", boom)
    remember()
    with originals():
        assert json.dumps is boom
    forget()
    with originals():
        assert json.dumps is not boom


@pytest.mark.parametrize("paused", [False, True])
def test_a_fake_file_system_is_paused_unless_the_test_has_paused_it(
    paused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = []

    class Pause:
        def __init__(self, fake: object) -> None:
            self.fake = fake

        def __enter__(self) -> None:
            entered.append(self.fake)

        def __exit__(self, *_: object) -> None:
            entered.append(None)

    fake = SimpleNamespace(patcher=SimpleNamespace(_paused=paused))
    module: Any = ModuleType(FAKE)
    module.Pause, module.Patcher = Pause, SimpleNamespace(PATCHER=SimpleNamespace(fs=fake))
    monkeypatch.setitem(sys.modules, FAKE, module)
    with originals(), originals():
        pass
    assert entered == ([] if paused else [fake, None])


SUITE = """
    import builtins, io, json, os, pathlib, time
    from unittest import mock
    import keras
    import numpy as np
    import pytest

    def boom(*args, **kwargs):
        raise AssertionError("called a mock")

    PATCHES = [
        *((builtins, "open"), (io, "open"), (os, "open"), (os, "replace"), (os, "makedirs")),
        *((json, "dumps"), (json, "loads"), (pathlib.Path, "mkdir"), (pathlib.Path, "open")),
        (time, "sleep"),
    ]

    @pytest.mark.parametrize(("owner", "name"), PATCHES, ids=range(len(PATCHES)))
    def test_fixture(owner, name, monkeypatch):
        keras.layers.Dense(2)(np.full((1, 2), {value}, "float32"))
        monkeypatch.setattr(owner, name, boom)

    def test_body():
        layer = keras.layers.Dense(2)
        with mock.patch("builtins.open", boom), mock.patch("os.open", boom):
            layer(np.full((1, 2), {value}, "float32"))

    def test_environment(monkeypatch):
        keras.layers.Dense(2)(np.full((1, 2), {value}, "float32"))
        monkeypatch.setenv("KERAS_BACKEND", "no such backend")
        monkeypatch.setenv("KERAS_GOLDEN_CACHE", "/dev/null/x")
"""
TESTS = 12


def test_a_suite_that_patches_files_and_environment_is_golden_all_the_same(
    suite: pytest.Pytester, goldens: Callable[[], list[str]]
) -> None:
    suite.makepyfile(test_it=SUITE.format(value=1))
    suite.runpytest_inprocess("--golden-auto", "--update-goldens").assert_outcomes(passed=TESTS)
    assert len(goldens()) == TESTS
    suite.runpytest_inprocess("--golden-auto").assert_outcomes(passed=TESTS)
    suite.makepyfile(test_it=SUITE.format(value=2))
    drifted = suite.runpytest_inprocess("--golden-auto")
    drifted.assert_outcomes(failed=TESTS)
    drifted.stdout.no_fnmatch_line("*called a mock*")
