"""The matrix on real releases, and the assembling of its cells from finished runs."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from suites import NORM, PROGRAM, as_json, environment, keras_golden, suite

from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.versions.inner.job import InnerRun
from pytest_keras_golden.versions.matrix import NEVER_RAN, MatrixResult, assemble
from pytest_keras_golden.versions.pages.matrix_html import page
from pytest_keras_golden.versions.pages.matrix_page import (
    cell_text,
    markdown,
    summary_line,
    terminal,
)


def run(*tests: TestOutcome, status: int = 0) -> InnerRun:
    log = log_json(0, {"keras": "1"}, tests) if status == 0 else None
    return InnerRun("keras", status, 1.0, Path(), log, output="no such version")


HELD = TensorOutcome("x", 0, "tensor", "float32", "float32", (2,), True, "identical")
RECORDED = run(TestOutcome("t", "recorded"))
SAME = run(TestOutcome("t", "passed", tensors=(HELD,)))
SKIPPED = run(TestOutcome("t", "skipped", reason="wants 3.5"))


def assembled(**runs: InnerRun) -> MatrixResult:
    named = {name.replace("_", "."): item for name, item in runs.items()}
    return assemble(
        "3.5.0", "keras", RECORDED, SAME, {k.removeprefix("v"): v for k, v in named.items()}
    )


def test_a_test_that_only_trains_is_not_looked_at() -> None:
    trains = TestOutcome("u", "passed", unseen=("fit",))
    first = run(TestOutcome("t", "recorded"), trains)
    both = run(TestOutcome("t", "passed", tensors=(HELD,)), trains)
    result = assemble("3.5.0", "keras", first, both, {"3.6.0": both})
    assert (result.guilty, result.verdict) == (False, "holds")
    for text in (terminal(result, 120), markdown(result)):
        # In two cells, and in the conclusion.
        assert text.count("not looked at") == 3
    assert page(result).count('["not looked at","",false,null]') == 2
    cells = [cell for cell in result.to_json()["cells"] if cell["nodeid"] == "u"]
    assert [cell["unseen"] for cell in cells] == [["fit"], ["fit"]]


@pytest.mark.parametrize("status", [-9, NEVER_RAN])
def test_a_lost_job_is_a_red_cell_never_a_missing_one(status: int) -> None:
    result = assembled(v3_6_0=run(status=status), v3_7_0=SAME)
    assert result.versions == ("3.5.0", "3.6.0", "3.7.0")
    assert [cell.status for cell in result.cells["t"].values()] == [
        "holds",
        "lost",
        "holds",
    ]
    assert result.guilty
    assert "1 red cell" in summary_line(result)
    for text in (terminal(result, 120), markdown(result), page(result)):
        assert "lost" in text


def test_a_run_that_only_broke_is_red_with_its_reason() -> None:
    result = assembled(v3_6_0=run(status=4))
    assert result.cells["t"]["3.6.0"].status == "broke"
    assert "no such version" in str(result.cells["t"]["3.6.0"].reason)


def test_versions_are_in_order_whatever_the_order_of_arrival() -> None:
    result = assembled(v3_10_0=SAME, v3_9_0=SAME)
    assert result.versions == ("3.5.0", "3.9.0", "3.10.0")
    assert result.verdict == "holds"
    assert cell_text(result.cells["t"]["3.10.0"]) == "identical"


def test_a_column_in_which_nothing_was_compared_does_not_hold() -> None:
    result = assembled(v3_6_0=SKIPPED, v3_7_0=SAME)
    assert result.verdict == "nothing compared"
    assert summary_line(result).startswith("keras 3.5.0 … 3.7.0: NOTHING COMPARED under 3.6.0.")
    assert "### ❌" in markdown(result)


def test_a_test_that_differs_from_itself_is_no_red_cell() -> None:
    shaky = run(TestOutcome("t", "failed", tensors=(replace(HELD, verdict="drift"),)))
    result = assemble("3.5.0", "keras", RECORDED, shaky, {"3.6.0": shaky})
    assert {cell.status for cell in result.cells["t"].values()} == {"unstable"}
    assert result.verdict == "nothing compared"


def test_beside_the_anchor_both_verdicts_are_one() -> None:
    """What the run itself said: a comparison of two goldens knows no `golden_precision`."""
    drift = replace(HELD, verdict="drift")
    moved = run(TestOutcome("t", "failed", tensors=(drift,), candidate="c", golden="g"))
    cell = assembled(v3_6_0=moved).cells["t"]["3.6.0"]
    assert (cell.left, cell.anchor) == ("drift", "drift")
    assert cell_text(cell) == "drift"


def cells(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], Any]:
    return {
        (cell["nodeid"].rpartition("::")[2], cell["version"]): cell
        for cell in as_json(done)["cells"]
    }


@pytest.mark.overlay
@pytest.mark.slow
def test_left_and_anchor_verdicts_on_real_releases(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    done = keras_golden(folder, "matrix", "3.5.0", "3.6.0..3.7", "--json", "-", "--html", "m.html")
    assert done.returncode == 1, done.stderr[-3000:]
    found = cells(done)
    assert len(found) == 6
    assert found["test_norm", "3.5.0"]["anchor"] == "identical"
    assert found["test_norm", "3.6.0"]["status"] == "moved"
    assert found["test_norm", "3.6.0"]["since_left"] == ["layer_normalization"]
    assert found["test_norm", "3.7.0"]["left"] == "identical"
    assert found["test_norm", "3.7.0"]["status"] == "moved"
    assert found["test_norm", "3.7.0"]["since_left"] == []
    assert {found["test_dense", v]["status"] for v in ("3.5.0", "3.6.0", "3.7.0")} == {"holds"}
    page = (folder / "m.html").read_text(encoding="utf-8")
    assert '"id":"3.6.0 · test_norm.py::test_norm","verdict":"moved"' in page


@pytest.mark.overlay
@pytest.mark.slow
def test_an_interrupted_matrix_goes_on_and_a_killed_one_too(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    kept = tmp_path / "kept"
    command = ["matrix", "3.5.0", "3.6.0", "3.7.0", "--jobs", "1", "--keep", str(kept)]
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = subprocess.Popen(
            [*PROGRAM, *command],
            cwd=folder,
            env=environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        deadline = time.monotonic() + 240
        while not (kept / "runs" / "first" / "run.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(number)
        process.communicate()
        assert process.returncode == code
    stamp = (kept / "runs" / "first" / "run.json").stat().st_mtime_ns
    done = keras_golden(folder, *command, "--json", "-")
    assert done.returncode == 1, done.stderr[-3000:]
    assert (kept / "runs" / "first" / "run.json").stat().st_mtime_ns == stamp
    assert len(cells(done)) == 6


@pytest.mark.overlay
def test_one_version_is_no_matrix(tmp_path: Path) -> None:
    done = keras_golden(suite(tmp_path / "suite"), "matrix", "3.5.0")
    assert done.returncode == 2
    assert "needs two sides" in done.stderr
