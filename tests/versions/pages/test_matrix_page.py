"""A matrix as text: what is told once, and what is left out where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.pin import Pin
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.gate import Asked
from pytest_keras_golden.versions.matrix import Cell, MatrixResult, unmeasured, written
from pytest_keras_golden.versions.pages import matrix_html, matrix_page

VERSIONS = ("3.5.0", "3.6.0")


def result(**moved: tuple[str, ...]) -> MatrixResult:
    """Twelve tests of one function and two beside it; moved: layers by the test's name."""
    names = [f"call[{number}]" for number in range(12)] + ["alone", "other"]
    cells = {f"t.py::test_{name}": row(name, moved.get(name, ())) for name in names}
    return MatrixResult("keras", VERSIONS, cells, {})


def row(name: str, layers: tuple[str, ...]) -> dict[str, Cell]:
    nodeid = f"t.py::test_{name}"
    held = Cell(nodeid, "3.5.0", "holds", anchor="identical")
    if not layers:
        return {"3.5.0": held, "3.6.0": Cell(nodeid, "3.6.0", "holds", "identical", "identical")}
    there = Cell(nodeid, "3.6.0", "moved", "drift", "drift", layers, layers)
    return {"3.5.0": held, "3.6.0": there}


def rows(found: MatrixResult) -> list[str]:
    return [nodeid + more for nodeid, more, _ in matrix_page.grouped(found)]


def test_tests_of_a_file_that_nothing_moved_in_are_one_row() -> None:
    assert rows(result()) == ["t.py::test_call[0] and 13 more"]
    told = matrix_page.terminal(result(), width=100)
    assert "how many more of its function or file say the same" in told
    assert "3.5.0 … 3.6.0: holds. 14 tests × 2 versions." in told


def test_what_moved_is_told_by_function_and_by_layer() -> None:
    same = {f"call[{number}]": ("norm",) for number in range(4)}
    found = result(**same, **{"call[7]": ("attention",), "alone": ("norm",)})
    assert rows(found) == [
        "t.py::test_call[0] and 3 more",
        "t.py::test_call[4] and 7 more",
        "t.py::test_call[7]",
        "t.py::test_alone",
    ]
    # What is counted are tests, however many share a row.
    assert "6 red cells of 14 tests × 2 versions" in matrix_page.summary_line(found)
    markdown = matrix_page.markdown(found)
    assert "| `t.py::test_call[0]` and 3 more | identical | **drift** |" in markdown
    assert "t.py::test_call[0] and 3 more" in matrix_html.page(found)


def test_cells_without_a_comparison_are_counted_and_their_reason_is_told() -> None:
    found = result()
    broken = {
        version: Cell("t.py::test_fit", version, "failing before", reason="no attribute 'spmd'")
        for version in VERSIONS
    }
    plain = {version: Cell("t.py::test_a", version, "no tensors") for version in VERSIONS}
    cells = {**found.cells, "t.py::test_fit": broken, "t.py::test_a": plain}
    told = matrix_page.terminal(replace(found, cells=cells), width=200)
    assert (
        "holds. 16 tests × 2 versions (4 of 32 cells not compared: 2 failing before, 2 no tensors)."
        in told
    )
    assert told.count("3.5.0: no attribute 'spmd'") == 1
    assert "3.6.0: no attribute" not in told


def test_an_anchor_that_cannot_be_had_leaves_no_empty_table() -> None:
    known = unmeasured(Side((), "jax==0.0.99"), "keras", StackError("no jax==0.0.99", "Name one."))
    for page in (matrix_page.terminal(known), matrix_page.markdown(known)):
        assert "jax==0.0.99: NOTHING COMPARED. 0 tests × 1 version." in page
        assert "no jax==0.0.99" in page
        assert "cell:" not in page
        assert "test |" not in page
    assert "no jax==0.0.99" in matrix_html.page(known)


def test_a_red_matrix_ends_with_the_gate_over_the_first_step_that_is_red() -> None:
    sides = [
        Side((Pin("keras", "3.5.0", Path()),)),
        Side((Pin("keras", "3.6.0", Path()),), text="3.6.0"),
    ]
    asked = Asked("3.5.0", "3.6.0", Path(), arguments=("tests/",))
    found = replace(result(alone=("norm",)), asked=asked, written=written(sides))
    command = "keras-golden gate 3.5.0 3.6.0 --html gate.html --json gate.json -- tests/"
    assert command in matrix_page.terminal(found, width=100)
    assert f"# look at the first step that is red\n{command}\n" in matrix_page.markdown(found)
    assert command in matrix_html.page(found)
    calm = replace(result(), asked=asked, written=written(sides))
    assert "what to run next" not in matrix_page.terminal(calm, width=100).lower()
    assert "What to run next" not in matrix_page.markdown(calm)
