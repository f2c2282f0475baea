"""Tests that share one reason are one row with a count, in every page; JSON keeps them all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gates import OLD, gate_of, held, moved
from outcomes_made import decoder

from pytest_keras_golden.names import natural
from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.report.amount import moved_most
from pytest_keras_golden.versions.compared.verdicts import Status, VerdictRow, in_order
from pytest_keras_golden.versions.gate import GateResult
from pytest_keras_golden.versions.pages.alike import groups
from pytest_keras_golden.versions.pages.gate_html import page
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal
from pytest_keras_golden.versions.pages.sections import not_looked_at

TWELVE = range(12)


def reasoned(name: str, status: Status, reason: str) -> VerdictRow:
    return VerdictRow(f"tests/test_{name}.py::test_{name}", status, reason=reason)


def drifting(name: str, k: float = 0.0) -> VerdictRow:
    """More or less far, in the same layers."""
    row = moved(f"tests/test_gpt.py::test_prefill[{name}]")
    assert row.outcome is not None
    tensors = (*row.outcome.tensors[:-1], replace(row.outcome.tensors[-1], k=9.0 + k, rel_l2=k))
    return replace(row, outcome=replace(row.outcome, tensors=tensors))


def gate() -> GateResult:
    rows = [
        *(drifting(str(i), k=i / 100) for i in TWELVE),
        *(reasoned(f"old_{i}", "broke", "TypeError: no argument") for i in TWELVE),
        *(reasoned(f"bad_{i}", "failing before", "ValueError: always") for i in TWELVE),
        *(reasoned(f"left_{i}", "skipped", "Skipped: no such thing here") for i in TWELVE),
        reasoned("left_other", "skipped", "Skipped: another reason"),
        held(),
    ]
    return gate_of(*in_order(rows))


FIRSTS = (
    "tests/test_gpt.py::test_prefill[0]",
    "tests/test_old_0.py::test_old_0",
    "tests/test_bad_0.py::test_bad_0",
    "tests/test_left_0.py::test_left_0",
)


def test_twelve_that_share_a_reason_are_a_row_in_text() -> None:
    shown, said = terminal(gate(), 200), markdown(gate())
    for first in FIRSTS:
        assert f"{first} and 11 more" in shown
        assert f"| `{first}` and 11 more | " in said
    assert shown.count("Skipped: no such thing here") == 1
    assert shown.count("Skipped: another reason") == 1
    assert "test_left_1.py" not in shown + said


def test_the_row_has_the_worst_number() -> None:
    (group,) = groups(drifting(str(i), k=i / 100) for i in TWELVE)
    assert group.first.nodeid.endswith("[0]")
    assert group.worst.nodeid.endswith("[11]")
    assert "up to 11 %, 1.82× its limit" in terminal(gate(), 200)
    assert "| up to 11 %, 1.82× its limit" in markdown(gate())


def test_json_keeps_all() -> None:
    nodeids = [test["nodeid"] for test in gate().to_json()["tests"]]
    assert len(nodeids) == 4 * 12 + 2
    drifted = [nodeid for nodeid in nodeids if "test_prefill" in nodeid]
    assert drifted == [f"tests/test_gpt.py::test_prefill[{i}]" for i in TWELVE]


def test_html_lists_the_first_and_keeps_the_details_of_all() -> None:
    html = page(gate())
    assert html.count('"alike":') == 4 * 11
    assert 'id="test-49"' in html


@pytest.mark.parametrize(
    "other",
    [
        drifting("b", 0.1).outcome,
        replace(decoder(3), nodeid="tests/test_gpt.py::test_prefill[b]"),
        replace(decoder(2), nodeid="tests/test_gpt.py::test_other[b]"),
        replace(decoder(2), nodeid="tests/test_gpt.py::test_prefill"),
    ],
)
def test_only_one_function_with_one_guilty_layer_is_a_group(other: TestOutcome) -> None:
    rows = [drifting("a"), VerdictRow(other.nodeid, "moved", other)]
    alike = other.nodeid.endswith("prefill[b]") and other.local_drift == rows[0].outcome.local_drift  # type: ignore[union-attr]
    assert len(groups(rows)) == (1 if alike else 2)


def test_numbers_in_names_are_numbers() -> None:
    names = ["t[10]", "t[2]", "t[a]", "t", "10", "t[2-10]", "t[2-9]"]
    assert sorted(names, key=natural) == ["10", "t", "t[2-9]", "t[2-10]", "t[2]", "t[10]", "t[a]"]


def unstable(count: int) -> GateResult:
    rows = [reasoned(f"clock_{i}", "unstable", "0.3 the second time") for i in range(count)]
    return gate_of(*rows, held())


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 test differs from itself"), (2, "2 tests differ from themselves")]
)
def test_what_differs_from_itself_comes_with_advice(count: int, said: str) -> None:
    result = unstable(count)
    assert f"{said} under the old side" in not_looked_at(result.rows)
    run = "pytest tests/test_clock_0.py::test_clock_0 --golden-auto --goldens-dir=twice"
    for text in (terminal(result, 200), markdown(result), page(result)):
        assert f"{said} under {OLD.label}, so nothing is said of" in text
        assert "a generator without a seed" in text
        assert f"{run} --update-goldens" in text
    assert "unlike itself" not in markdown(result)


def test_the_amount_is_that_of_the_worst_tensor() -> None:
    worst = groups([drifting("a", 0.01), drifting("b", 0.5)])[0].worst.outcome
    assert worst is not None
    most = moved_most(worst)
    assert most is not None
    assert most.rel_l2 == 0.5
