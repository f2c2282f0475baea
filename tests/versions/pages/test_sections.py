"""What the sections of a gate's pages are called, and what they count."""

from __future__ import annotations

import pytest
from gates import gate_of, held

from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.versions.compared.verdicts import PASSES, VerdictRow, row_of
from pytest_keras_golden.versions.pages.conclusion import verdict_line
from pytest_keras_golden.versions.pages.gate_html import page
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal


def ended(name: str, outcome: str, reason: str) -> VerdictRow:
    test = TestOutcome(f"t.py::{name}", outcome, reason=reason)
    return row_of(test, test)


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 test fails under keras 3.5.0 only where it is"), (2, "2 tests fail under keras 3.5.0")],
)
def test_what_fails_only_recorded_is_told_how_to_see_why(count: int, said: str) -> None:
    test = TestOutcome("t.py::t", "failed", reason="assert 20 == 2")
    rows = [VerdictRow("t.py::t", "failing before", test, f"{PASSES}assert 20 == 2")] * count
    result = gate_of(*rows, held())
    for text in (terminal(result, 200), markdown(result), page(result)):
        assert said in text
        assert "pytest t.py::t --golden-auto -o golden" in text.replace("\\", "")


def test_expected_failures_stand_apart_from_skips() -> None:
    result = gate_of(
        ended("left", "skipped", "Skipped: not now"), ended("known", "xfailed", "a bug"), held()
    )
    assert verdict_line(result).endswith("1 test compared (1 skipped, 1 xfailed).")
    assert result.to_json()["counts"] == {"skipped": 1, "xfailed": 1, "holds": 1}
    for text in (terminal(result, 200), markdown(result)):
        apart = text.index("Expected failures")
        assert text.index("t.py::left") < apart < text.index("t.py::known")
    for text in (terminal(result, 200), markdown(result), page(result)):
        assert "1 test skipped" in text
        assert "1 test failed as expected" in text
    assert '"xfailed"' in page(result)
