"""Where tests only break, the numbers have not drifted: pages have a word of its own for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gates import broke, gate_of, held, moved

from pytest_keras_golden.commands.gate import EXIT_CODES
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.compared.verdicts import VerdictRow
from pytest_keras_golden.versions.inner.job import Pin
from pytest_keras_golden.versions.matrix import Cell, MatrixResult
from pytest_keras_golden.versions.pages.conclusion import issue_title, verdict_line
from pytest_keras_golden.versions.pages.gate_html import page
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal
from pytest_keras_golden.versions.pages.matrix_page import summary_line


def breaking(count: int) -> list[VerdictRow]:
    return [VerdictRow(f"t.py::t{i}", "broke", reason="TypeError") for i in range(count)]


def test_tests_that_only_break_have_not_drifted() -> None:
    result = gate_of(*breaking(2), held())
    said = (
        "keras 3.5.0 → 3.6.0: BREAKS. 2 of 3 tests pass under keras 3.5.0 and break under "
        "keras 3.6.0; no compared number moved."
    )
    assert verdict_line(result) == said
    assert said in terminal(result, 300)
    assert said in markdown(result)
    assert "BREAKS" in page(result)
    assert (result.verdict, EXIT_CODES[result.verdict]) == ("drift", 1)
    assert result.to_json()["verdict"] == "drift"


def test_one_that_breaks_beside_nothing_compared() -> None:
    assert verdict_line(gate_of(*breaking(1))).endswith(
        "1 of 1 test passes under keras 3.5.0 and breaks under keras 3.6.0; no number was compared."
    )


def test_a_module_is_no_test() -> None:
    said = verdict_line(gate_of(broke(), held()))
    assert "BREAKS. 1 module cannot be collected or run to its end under keras 3.6.0; " in said


def test_what_moves_beside_what_breaks_is_drift() -> None:
    said = verdict_line(gate_of(*breaking(2), moved(), held()))
    assert ": DRIFT of up to 0.9 %" in said
    assert "1 of 2 compared tests moved, 2 broke" in said


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (("broke",), "BREAKS. 1 red cell of 1 test × 2 versions, the first under 3.6.0; no comp"),
        (("broke", "lost"), "BREAKS. 2 red cells of 1 test × 3 versions, the first under 3.6.0;"),
        (("lost",), "LOST. 1 red cell of 1 test × 2 versions, the first under 3.6.0; no compared"),
        (
            ("incomparable",),
            "INCOMPARABLE. 1 red cell of 1 test × 2 versions, the first under 3.6.",
        ),
        (("broke", "moved"), "DRIFT. 2 red cells of 1 test × 3 versions, the first under 3.6.0."),
    ],
)
def test_a_matrix_says_the_same(statuses: tuple[str, ...], said: str) -> None:
    versions = ("3.5.0", *(f"3.{6 + place}.0" for place in range(len(statuses))))
    cells = {
        version: Cell("t.py::t", version, status)
        for version, status in zip(versions, ("holds", *statuses), strict=True)
    }
    assert said in summary_line(MatrixResult("keras", versions, {"t.py::t": cells}, {}))


COMMIT = "5556b22d811e4af345f6bbb198c4f981b2276d77"


def test_a_gate_of_locks_says_what_changed_before_how_it_was_written() -> None:
    def side(version: str, text: str) -> Side:
        return Side((Pin("keras", version, Path()),), text)

    old, new = side("3.5.0", f"{COMMIT}:uv.lock"), side("3.6.0", "uv.lock")
    result = replace(gate_of(held()), old=old, new=new)
    assert verdict_line(result) == (
        "keras 3.5.0 → 3.6.0, from 5556b22d81:uv.lock to uv.lock: holds. 1 test compared."
    )
    assert COMMIT not in terminal(result) + markdown(result)
    assert issue_title(replace(result, rows=(moved(),))) == (
        "keras 3.5.0 → 3.6.0 moves the numbers of this suite"
    )
    assert issue_title(replace(result, rows=(broke(),))) == (
        "keras 3.5.0 → 3.6.0 breaks tests of this suite"
    )
    assert str(old.label) == "5556b22d81:uv.lock"
    assert old.text == f"{COMMIT}:uv.lock"
