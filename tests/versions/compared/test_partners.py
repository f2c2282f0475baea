"""Tests that fail for what a package beside Keras has no more: what is told, what to type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from suites import keras_golden, suite

from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.compared.partners import missing
from pytest_keras_golden.versions.compared.verdicts import VerdictRow
from pytest_keras_golden.versions.gate import Asked, GateResult
from pytest_keras_golden.versions.inner.job import InnerRun, Pin
from pytest_keras_golden.versions.pages.gate_html import page
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal

GONE = "AttributeError: module 'jax' has no attribute 'spmd_mode'"


@pytest.mark.parametrize(
    ("reason", "package"),
    [
        (GONE, "jax"),
        ("it passes where …: AttributeError: module 'jax.config' has no attribute 'x'", "jax"),
        ("ImportError: cannot import name 'xla' from 'jaxlib.xla' (/a/b.py)", "jaxlib"),
        ("ModuleNotFoundError: No module named 'numpy.core'", "numpy"),
        ("AttributeError: module 'ml_dtypes' has no attribute 'int2'", "ml-dtypes"),
        ("AttributeError: module 'keras' has no attribute 'x'", None),
        ("AttributeError: module 'helpers' has no attribute 'jax'", None),
        ("ModuleNotFoundError: No module named 'jax'", None),
        (None, None),
    ],
)
def test_what_is_missing_is_read_of_the_reason(reason: str | None, package: str | None) -> None:
    assert [one.package for one in missing([reason, reason], "keras 3.5.0")] == (
        [package] if package else []
    )


def test_what_differs_between_the_sides_may_be_what_broke_them() -> None:
    assert missing([GONE], "this", varied={"jax"}) == []


def gate(status: str, old: str = "3.5.0") -> GateResult:
    sides = [Side((Pin("keras", version, Path()),)) for version in ("3.5.0", "3.6.0")]
    test = TestOutcome("t.py::t", "failed", reason=GONE)
    row = VerdictRow("t.py::t", status, test, GONE)  # type: ignore[arg-type]
    run = InnerRun("keras", 0, 4.0, Path(), log_json(0, {}, [test]))
    asked = Asked(old, "3.6.0", Path("/nowhere"), arguments=("tests",))
    return GateResult(*sides, (row,), {"old": run, "new": run}, asked=asked)


@pytest.mark.parametrize(
    ("result", "command"),
    [
        (gate("failing before"), '"3.5.0,jax==VERSION" 3.6.0'),
        (gate("failing before", "3.5.0,jax==0.10.2"), '"3.5.0,jax==VERSION" 3.6.0'),
        (gate("broke"), '3.5.0 "3.6.0,jax==VERSION"'),
    ],
)
def test_every_page_says_what_to_type(result: GateResult, command: str) -> None:
    for text in (terminal(result, 200), markdown(result)):
        assert "1 test fails under keras 3." in text
        assert f"keras-golden gate {command} -- tests" in text
    assert "1 test fails under keras 3." in page(result)


def test_nothing_is_said_of_other_reasons() -> None:
    result = gate("failing before")
    rows = tuple(replace(row, reason="ValueError: boom") for row in result.rows)
    assert "VERSION" not in terminal(replace(result, rows=rows), 200)


@pytest.mark.processes
def test_where_every_test_fails_for_it_the_side_is_spelled(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_a="import jax\ndef test_a(): jax.spmd_mode\n")
    for command in ("gate", "matrix"):
        done = keras_golden(folder, command, "env.SIDE=1", "env.SIDE=2")
        assert done.returncode == 2
        assert done.stderr.rstrip().endswith(
            "Give that side a jax that goes with it: env.SIDE=1,jax==VERSION"
        )
