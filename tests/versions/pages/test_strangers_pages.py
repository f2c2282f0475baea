"""Texts of strangers on the pages of gate, matrix, bisect, sessions and progress."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from strangers import HOSTILE, Page, assert_dead, controls, markdown, texts, words
from suites import keras_golden, suite

from pytest_keras_golden.commands import bisect
from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.report.escape import console, shown
from pytest_keras_golden.stacks.clone import Commit
from pytest_keras_golden.versions import sessions
from pytest_keras_golden.versions.accepted import Acceptance, Bounds
from pytest_keras_golden.versions.bisect import BisectResult, Probe
from pytest_keras_golden.versions.changes import Change
from pytest_keras_golden.versions.compared.verdicts import ORDER, VerdictRow
from pytest_keras_golden.versions.gate import Asked, GateResult, Side
from pytest_keras_golden.versions.inner.job import InnerRun, Pin
from pytest_keras_golden.versions.inner.progress import Lines, Rows
from pytest_keras_golden.versions.matrix import Cell, MatrixResult
from pytest_keras_golden.versions.pages import gate_html, gate_page, matrix_html, matrix_page
from pytest_keras_golden.versions.review import Review

PARTS = ("table", "thead", "tbody", "tr", "th", "td", "heading", "bullet_list", "list_item")
FRAME = frozenset(f"{part}_{side}" for part in PARTS for side in ("open", "close"))


def examples(test: Any) -> Any:
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=60, deadline=None)(given(texts)(test))


def moved(text: str) -> TestOutcome:
    tensor = TensorOutcome(text, 0, "block", "float32", "float32", (2,), True, "drift", note=text)
    return TestOutcome(
        text, "failed", reason=text, baseline=text, stack={"keras": text}, isolation=text,
        first_drift=text, local_drift=(text,), tensors=(tensor,),
    )  # fmt: skip


def gate_of(text: str) -> GateResult:
    run = InnerRun(text, 0, 1.0, Path(), {"tests": []})
    side = Side((Pin("keras", "3.5.0", Path()),))
    found = [VerdictRow(text, status, moved(text), text) for status in ORDER]
    # For another reason, so that it is a row of its own.
    module = VerdictRow(text, "broke", None, f"{text} again")
    return GateResult(side, side, (*found, module), {"old": run, "new": run})


def asked_by(text: str) -> GateResult:
    """With all that a command line can bring along, and an acceptance of each kind."""
    entry = Acceptance((Change(text, text, text),), text, (text,), "drift", Bounds(), text, text)
    gate = gate_of(text)
    asked = Asked(text, text, Path(), (text,), (text,), text)
    reviewed = Review(gate.rows, {entry: (text,)}, (entry,), (entry,))
    return replace(gate, asked=asked, review=reviewed)


def matrix_of(text: str) -> MatrixResult:
    cell = Cell(text, "3.6.0", "broke", text, text, (text,), (text,), reason=text)
    held = Cell(text, "3.5.0", "holds", anchor="identical")
    return MatrixResult("keras", ("3.5.0", "3.6.0"), {text: {"3.5.0": held, "3.6.0": cell}}, {})


@examples
def test_terminals_get_no_control(text: str) -> None:
    probe = Probe(text, "skip", text or "-", (VerdictRow(text, "moved", moved(text), text),))
    found = BisectResult(
        "keras", "3.5.0", "3.6.0", text, "3.5.0", (text,), (probe,), 2,
        commit=Commit(text, text, text), commit_between=(text,), commit_probes=(probe,),
        no_commit=text,
    )  # fmt: skip
    drawn = [
        gate_page.terminal(gate_of(text), width=200),
        gate_page.terminal(asked_by(text), width=200),
        matrix_page.terminal(matrix_of(text), width=200),
        sessions.table({"3.5.0": InnerRun("a", 0, 1.0, Path(), log_json(0, {}, [moved(text)]))}),
        sessions.table({"3.5.0": InnerRun("a", 3, 1.0, Path(), None, output=text)}),
        bisect.page(found),
        live(text),
        plain(text),
    ]
    for page in drawn:
        assert set(controls(page)) <= {"\n"}


def live(text: str) -> str:
    rows = Rows(text)
    rows.started(text)
    rows.finished(text, text)
    out = io.StringIO()
    console(file=out, width=200).print(rows)
    return out.getvalue()


def plain(text: str) -> str:
    out = io.StringIO()
    Lines(out).finished(text, text)
    assert out.getvalue().count("\n") == 1
    return out.getvalue()


@examples
def test_markdown_is_dead(text: str) -> None:
    for page in (gate_page.markdown(gate_of(text)), matrix_page.markdown(matrix_of(text))):
        tokens = markdown(page)
        assert_dead(tokens, also=FRAME)
    assert_dead(markdown(gate_page.markdown(asked_by(text))), also=FRAME | {"fence"})
    rows = [token.type for token in markdown(gate_page.markdown(gate_of(text)))].count("tr_open")
    listed = [status for status in ORDER if status not in ("holds", "no tensors")]
    assert rows == 2 * len(listed) + 1


@examples
def test_html_holds_texts_as_data_without_controls(text: str) -> None:
    for made in (gate_html.page(asked_by(text)), matrix_html.page(matrix_of(text))):
        blocks = re.findall(r'<script type="application/json" id="[\w-]+">(.*?)</script>', made)
        held = [item for block in blocks for item in strings(json.loads(block))]
        assert controls("".join(held)) == []
        assert any(" ".join(shown(text).split()) in " ".join(item.split()) for item in held)
        rest = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", made, flags=re.DOTALL)
        page = Page(rest)
        assert set(page.tags) <= OURS
        assert set(controls(page.text)) <= {"\n"}
        assert made.encode("utf-8")


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


OURS = {"html", "head", "body", "meta", "title", "header", "h1", "p", "div", "ul", "ol", "nav"}
OURS |= {"noscript", "code", "label", "input", "span", "main", "footer", "kbd"}

IDS = """
import keras
import numpy as np
import pytest


def test_layer():
    keras.layers.Dense(2)(np.ones((2, 4), "float32"))


@pytest.mark.parametrize("case", range(4), ids=["mode=x", "/data/x", "red", ":smile:"])
def test_here(case):
    pytest.skip(f"not here: [/data/x] <img> {case}")
"""


@pytest.mark.overlay
def test_a_gate_over_ids_in_brackets_ends_in_words(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_case=IDS)
    versions = ("gate", "3.10.0", "3.15.1")
    files = ("--markdown", "gate.md", "--html", "gate.html", "--json", "gate.json")
    done = keras_golden(folder, *versions, *files, env={"KERAS_BACKEND": "numpy"})
    assert done.returncode == 0, done.stderr
    assert "holds. 1 test compared (4 skipped)" in done.stdout
    for name in ("mode=x", "/data/x", "red", ":smile:"):
        nodeid = f"test_case.py::test_here[{name}]"
        assert words(nodeid) in words(re.sub("[│┃]", "", done.stdout))
        assert nodeid in (folder / "gate.md").read_text(encoding="utf-8")
        assert nodeid in (folder / "gate.html").read_text(encoding="utf-8")
