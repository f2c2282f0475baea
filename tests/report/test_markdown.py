"""The Markdown summary: short whatever the suite, and no name breaks its tables."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.report.markdown import LIMIT, render


def rendered(*tests: TestOutcome, errors: tuple[str, ...] = ()) -> str:
    return render(log_json(1, {"keras": "3.6.0"}, tests, errors))


def test_verdict_counts_and_the_moved_test_come_first() -> None:
    text = rendered(decoder(2), outcome(tensor("a", 0)))
    lines = text.splitlines()
    assert lines[0] == (
        "### Golden tensors: 1 of 2 tests moved between Keras 3.5.0 and 3.6.0 (1 drift)"
    )
    assert "- tests: 1 identical, 1 drift" in lines
    assert "- stack: keras 3.5.0 → 3.6.0" in lines
    row = next(line for line in lines if line.startswith("| `tests/"))
    assert "`blocks/*/norm` ×2, `final_norm`" in row
    assert "1.8×" in row
    assert "--update-goldens" in text


def test_the_verdict_says_where_what_moved_fails_nothing() -> None:
    deep = outcome(tensor("a", 0, k=9.0, verdict="accumulated"), outcome="passed")
    moved = "1 of 1 test moved between Keras 3.5.0 and 3.6.0 (1 accumulated)"
    assert f"{moved}: none fails\n" in rendered(deep)
    assert f"{moved}\n" in rendered(replace(deep, outcome="failed"))


def test_a_suite_that_holds_says_so_in_a_line() -> None:
    assert "all 2 tests hold between" in rendered(outcome(tensor("a", 0)), outcome(tensor("b", 0)))
    assert "no golden test ran" in rendered()
    assert "nothing was compared" in rendered(errors=("ImportError: boom",))


@pytest.mark.parametrize("count", [300, 1200])
def test_any_suite_stays_under_the_limit_and_counts_what_is_left_out(count: int) -> None:
    made = decoder(12)
    text = rendered(*(replace(made, nodeid=f"tests/test_{i}.py::test_a") for i in range(count)))
    assert len(text.encode()) < LIMIT
    listed = len(re.findall(r"^\| `tests/", text, re.MULTILINE))
    told = text.count("<details>")
    assert told > 3
    assert f"details of {count - told:,} tests left out" in text
    if listed < count:
        assert f"{count - listed:,} more tests not listed" in text


def test_long_names_and_errors_stay_under_the_limit() -> None:
    made = outcome(tensor("x" * 100_000, 0, k=9.0), nodeid="t" * 100_000)
    assert len(rendered(made, errors=("e" * 100_000,) * 50).encode()) < LIMIT


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_a_name_never_breaks_its_table_row(name: str) -> None:
    row = next(
        line
        for line in rendered(outcome(tensor(name, 0, k=9.0), nodeid=name)).split("\n")
        if "**drift**" in line
    )
    assert row.count("|") - row.count("\\|") == 7


def test_tests_without_calls_have_not_moved() -> None:
    plain = outcome(outcome="passed", baseline=None)
    text = rendered(outcome(tensor("a", 0)), *[plain] * 40)
    assert "the test holds" in text
    assert "- 40 other tests called no Keras model" in text
    alone = rendered(*[plain] * 40)
    assert "no golden test ran" in alone
    assert "- 40 tests called no Keras model" in alone


def test_several_logs_are_one_report() -> None:
    logs = [log_json(0, {}, [outcome(tensor("a", 0), nodeid=f"t{i}")]) for i in range(3)]
    assert "all 3 tests hold" in render(logs)
