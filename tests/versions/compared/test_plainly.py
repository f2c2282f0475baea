"""Tests that fail on the old side only because they are recorded there."""

from __future__ import annotations

import json
from pathlib import Path

from suites import keras_golden, suite

from pytest_keras_golden.versions.compared.plainly import passing
from pytest_keras_golden.versions.inner.job import InnerRun

TESTS = """
import keras
import numpy as np
import pytest

X = np.ones((2, 4), "float32")

def test_holds():
    keras.layers.Rescaling(2.0)(X)

@pytest.mark.parametrize("case", ["a b", "[x]"])
def test_minds(request, case):
    keras.layers.Rescaling(2.0)(X)
    assert not request.config.getoption("--golden-auto")

def test_fails():
    keras.layers.Rescaling(2.0)(X)
    assert X is None
"""


def test_what_fails_only_where_it_is_recorded_is_told_apart(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_some=TESTS)
    env = {"KERAS_BACKEND": "numpy"}
    done = keras_golden(folder, "gate", "3.10.0", "3.15.1", "--json", "found.json", env=env)
    found = json.loads((folder / "found.json").read_text())
    tests = {test["nodeid"].partition("::")[2]: test for test in found["tests"]}
    assert {test["status"] for name, test in tests.items() if name != "test_holds"} == {
        "failing before"
    }
    minding = [
        name for name, test in tests.items() if "passes where nothing" in (test["reason"] or "")
    ]
    assert sorted(minding) == ["test_minds[[x]]", "test_minds[a b]"]
    assert done.returncode == 0
    assert "2 tests failing under the old side only where recorded" in done.stdout
    assert "1 test failing under the old side already" in done.stdout
    said = " ".join(done.stdout.split())
    assert "2 tests fail under keras 3.10.0 only where they are recorded." in said
    assert " --golden-auto -o golden_seed=none`" in said


def test_who_passes_is_read_from_the_summary_or_not_known(tmp_path: Path) -> None:
    said = (
        "PASSED a.py::t[x - y]\nPASSED a.py::t\nSKIPPED [1] b.py:3: no\nFAILED c.py::t - assert 0"
    )
    run = InnerRun("old", 1, 1.0, tmp_path, output=said)
    assert passing(run, {"a.py::t[x - y]", "b.py::t", "c.py::t"}) == {"a.py::t[x - y]"}
    assert passing(InnerRun("old", 0, 1.0, tmp_path), {"a.py::t"}) == frozenset()
