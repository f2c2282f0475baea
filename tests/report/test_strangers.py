"""Names, reasons, versions and notes of strangers, in every renderer of outcomes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from outcomes_made import decoder, outcome, tensor
from strangers import HOSTILE, Page, assert_dead, controls, markdown, texts

from pytest_keras_golden.outcomes import LEFT_OUT, LocalOutcome, TestOutcome, log_json
from pytest_keras_golden.records import GoldenHeader, TensorEntry
from pytest_keras_golden.report import closing, files, golden, html, terminal

VERDICTS = (
    "drift",
    "structure",
    "incomparable",
    "systematic",
    "accumulated",
    "vacuous",
    "unstable",
)
PARTS = ("table", "thead", "tbody", "tr", "th", "td", "heading", "bullet_list", "list_item")
FRAME = frozenset(f"{part}_{side}" for part in PARTS for side in ("open", "close")) | {"html_block"}


def strange(text: str, verdict: str, result: str = "failed") -> TestOutcome:
    """An outcome in which everything that a suite, a log or a golden can choose is `text`."""
    moved = tensor(text or "a", 0, k=9.0, verdict=verdict, note=text, bias=0.5, bias_t=9.0)
    layer = LocalOutcome(text or "a", 0, "drift", "bfloat16", k=9.0, note=text)
    return outcome(
        moved,
        nodeid=text or "t",
        outcome=result,
        reason=text or None,
        baseline=text,
        golden=text,
        candidate=text,
        stack={"keras": text},
        stack_changes={text: (text, text)},
        isolation=text,
        first_drift=text,
        locals=(layer,),
        local_drift=(text or "a",),
        warnings=(text, LEFT_OUT + text),
        written=result == "recorded",
    )


def examples(test: Any) -> Any:
    for text in HOSTILE:
        test = example(text, "drift", "failed")(test)
    results = st.sampled_from(["failed", "error", "recorded", "skipped"])
    given_all = given(texts, st.sampled_from(VERDICTS), results)
    return settings(max_examples=100, deadline=None)(given_all(test))


@examples
def test_a_terminal_gets_no_control_but_our_colours(text: str, verdict: str, result: str) -> None:
    made = strange(text, verdict, result)
    pages = [
        *(terminal.failure_page(made, color=color) for color in (False, True)),
        terminal.comparison_page(made),
        terminal.summary_line(made),
        terminal.update_page(made),
        closing.terminal_summary([made], unused=[text], color=True),
        terminal.missing_page(made, text, [text]),
    ]
    for page in pages:
        assert set(controls(re.sub(r"\x1b\[[0-9;]*m", "", page))) <= {"\n"}
    assert "\x1b" not in pages[0]


@examples
def test_markdown_has_no_link_and_no_html_but_ours(text: str, verdict: str, result: str) -> None:
    log = log_json(1, {}, [strange(text, verdict, result)], [text])
    tokens = markdown(files.rendered(log, ".md"))
    assert_dead(tokens, also=FRAME)
    ours = [token.content for token in tokens if token.type == "html_block"]
    assert all(set(Page(block).tags) <= {"details", "summary", "code"} for block in ours)
    assert sum(block.count("<details>") for block in ours) == len(ours) // 2 <= 1


@examples
def test_html_holds_texts_as_json_without_controls(text: str, verdict: str, result: str) -> None:
    page = html.render(log_json(1, {}, [strange(text, verdict, result)], [text]))
    blocks = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page)
    assert [name for name, _ in blocks][:2] == ["report", "test-0"]
    for _, block in blocks:
        assert controls("".join(strings(json.loads(block)))) == []
    assert page.encode("utf-8")


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@settings(max_examples=100, deadline=None)
@given(texts)
def test_a_golden_is_shown_line_by_line(text: str) -> None:
    entry = TensorEntry(
        *(text, 0, "tensor", "float32", (2,), "float32", True, "materialised"), digest="", rms=1.0
    )
    header = GoldenHeader(
        stack={"keras": text, "a": text}, mode="eager", tensors=(entry,), weights={text: text},
        reason=text,
    )  # fmt: skip
    page = golden.render(header, lambda name: [text])
    assert set(controls(page)) <= {"\n"}
    plain = golden.render(replace(header, stack={"keras": "3", "a": "b"}), lambda name: ["1"])
    assert page.count("\n") == plain.count("\n")


@pytest.mark.parametrize("text", ["x; touch y", "$(touch y)", "a\nb", "`touch y`", "' y"])
def test_commands_to_paste_run_nothing_of_strangers(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    monkeypatch.chdir(tmp_path)
    for verdict in VERDICTS:
        page = terminal.failure_page(strange(text, verdict), width=10_000)
        commands = re.findall(r"^  ((?:pytest|keras-golden) .*)$", page, re.MULTILINE)
        assert commands
        for command in commands:
            words = command.replace("keras-golden", "printf '%s\\0'", 1)
            words = words.replace("pytest ", "printf '%s\\0' ", 1)
            done = subprocess.run(["bash", "-c", words], capture_output=True, check=True)
            assert text.encode() in done.stdout.split(b"\0")
    assert list(tmp_path.iterdir()) == []


def test_a_decoder_reads_as_before() -> None:
    page = terminal.failure_page(decoder(4))
    assert "`blocks/*/norm` (×4), `final_norm`" in " ".join(page.split())
