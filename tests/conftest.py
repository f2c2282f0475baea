"""Shared by all tests: a light backend, and empty suites that pytester runs."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pytest_keras_golden

pytest_plugins = ["pytester"]

# Before anything imports keras: the core tests run where no other backend is installed.
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests write a file over within the second, which bytecode does not notice; what this session has
# compiled of the plugin serves them all.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# Where these tests run in CI, the suites that they write are still recorded by hand; a test of what
# CI refuses sets it.
os.environ.pop("CI", None)


def pytest_configure(config: pytest.Config) -> None:
    built = os.environ.get("KERAS_GOLDEN_BUILT")
    if built and not Path(str(pytest_keras_golden.__file__)).is_relative_to(built):
        raise pytest.UsageError(f"{pytest_keras_golden.__file__} is not the wheel in {built}")
    if os.environ["KERAS_BACKEND"] == "numpy":
        # There, Keras works out shapes by running layers on uninitialised memory.
        config.addinivalue_line("filterwarnings", "ignore:.*encountered in:RuntimeWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "backend" in getattr(getattr(item, "callspec", None), "params", {}):
            item.add_marker("any_backend")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A job in the background of a shell ignores SIGINT, and so would all children of the tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def keras_imported() -> None:
    """Before pytester notes which modules there are: it forgets what inner runs import, and what
    of ours a later test then imports again would be other classes than those it has."""
    for module in ("keras", "xxhash", "safetensors", "filelock", "rich.table", "ml_dtypes"):
        importlib.import_module(module)
    for found in pkgutil.walk_packages(pytest_keras_golden.__path__, "pytest_keras_golden."):
        if ".backends." not in found.name:
            importlib.import_module(found.name)
    # Thousands of traced programs set the collector off all the time: a twelfth of the tests' time.
    gc.set_threshold(100_000, 50, 100)
    # Not through all of this.
    gc.freeze()


@pytest.fixture
def pytester(keras_imported: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """pytest's own, also where it is asked for by its name: what one run that it forgets imported
    stays an attribute of its package, and later tests would have half of it from there."""
    return pytester


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty test suite with an ini file; run it with `runpytest_inprocess`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    pytester.makeini("[pytest]\n")
    return pytester


@pytest.fixture
def goldens(suite: pytest.Pytester) -> Callable[[], list[str]]:
    """The golden files of the suite, as sorted paths relative to its goldens folder."""
    root = suite.path / "goldens"

    def found() -> list[str]:
        return sorted(str(path.relative_to(root)) for path in root.rglob("*.safetensors"))

    return found


@pytest.fixture
def package_root() -> Path:
    return Path(__file__).resolve().parent.parent / "pytest_keras_golden"
