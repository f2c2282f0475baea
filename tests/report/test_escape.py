"""Whatever text goes in, no medium obeys it: parsed by the parsers that readers have."""

from __future__ import annotations

import io
import re
import subprocess

import jinja2
import pytest
from hypothesis import example, given, settings
from rich.table import Table
from strangers import HOSTILE, Page, assert_dead, controls, markdown, said, texts, words

from pytest_keras_golden.report import escape


def examples(test):  # type: ignore[no-untyped-def]
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=300, deadline=None)(given(texts)(test))


@examples
def test_visible_text_is_one_line_without_controls(text: str) -> None:
    assert controls(escape.visible(text)) == []
    assert controls(escape.one_line(text)) == []
    assert set(controls(escape.lines(text))) <= {"\n"}
    assert escape.lines(text).count("\n") == text.count("\n")
    if text.isprintable():
        assert escape.visible(text) == text


@examples
def test_prose_is_a_paragraph_of_the_same_text(text: str) -> None:
    tokens = markdown(escape.prose(text))
    assert_dead(tokens)
    assert words(said(tokens)) == words(escape.one_line(text))


@examples
def test_a_sentence_keeps_its_text_whatever_its_backquotes(text: str) -> None:
    tokens = markdown(escape.sentence(f"{text} `{text}` in {text}"))
    assert_dead(tokens)
    wanted = escape.one_line(f"{text} {text} in {text}")
    assert words(said(tokens)).replace("`", "") == words(wanted).replace("`", "")


@examples
def test_code_is_one_span_or_several_with_a_bar_between(text: str) -> None:
    tokens = markdown("at " + escape.code(text))
    assert_dead(tokens)
    assert words(said(tokens)) == "at" + words(escape.visible(text))


@examples
def test_a_table_row_has_its_cells_whatever_they_hold(text: str) -> None:
    made = escape.row(escape.code(text), escape.prose(text), escape.sentence(f"`{text}`"), "end")
    assert "\n" not in made
    tokens = markdown(f"| a | b | c | d |\n|---|---|---|---|\n{made}\n")
    cells = [tokens[i + 1] for i, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 4
    assert words(said([cells[0]])) == words(escape.visible(text))
    assert words(said([cells[1]])) == words(escape.one_line(text))
    assert said([cells[3]]) == "end"
    assert_dead(cells)


def test_a_backslash_never_meets_a_bar_in_a_table() -> None:
    """GitHub's parser takes two backslashes for one, and the bar behind them for a new cell."""
    made = escape.row(escape.code("a\\|b"), escape.prose("a\\|b"), "")
    assert not re.search(r"(?<!\\)(\\\\)+\|", made), made


@examples
def test_html_parses_to_the_visible_text(text: str) -> None:
    environment = jinja2.Environment(autoescape=True, finalize=escape.finalize)
    for template in ("<p>{{ text }}</p>", '<p title="{{ text }}"></p>'):
        page = Page(environment.from_string(template).render(text=text))
        assert page.tags == ["p"]
        assert page.text == escape.visible(text)
    page = Page(escape.summary(text))
    assert page.tags == ["summary", "code"]
    assert page.text == escape.visible(text)


@examples
def test_a_table_of_rich_shows_the_text_and_nothing_else(text: str) -> None:
    out = io.StringIO()
    console = escape.console(file=out, width=500)
    table = Table(show_header=False, box=None)
    table.add_column(overflow="fold")
    table.add_row(escape.text(text))
    table.add_row("[/data/x] :smile:")
    console.print(table)
    drawn = out.getvalue()
    assert set(controls(drawn)) <= {"\n"}
    assert words(drawn) == words(escape.visible(text)) + "[/data/x]:smile:"


@examples
def test_named_has_two_backquotes(text: str) -> None:
    assert escape.named(text).count("`") == 2
    assert controls(escape.named(text)) == []


def test_shown_changes_what_must_change_alone() -> None:
    value = {"a": ("x", 1, None), "b": ["\x1b", {"c\n d": 2.0}]}
    assert escape.shown(value) == {"a": ("x", 1, None), "b": ["\\x1b", {"c d": 2.0}]}
    same = {"a": ("x", 1), "b": [None]}
    assert escape.shown(same) is same


def printed(command: str) -> bytes:
    """The arguments as bash passes them on, each ended by a NUL."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    return done.stdout


def test_shell_arguments_arrive_to_the_letter() -> None:
    every = [text for text in HOSTILE if "\0" not in text and "\ud800" not in text]
    every += ["caf\udce9", "日本語", "'", "\\", "\x9f"]
    command = "printf '%s\\0' " + " ".join(map(escape.quoted, every))
    assert controls(command) == []
    got = printed(command).split(b"\0")[:-1]
    wanted = [f"./{text}" if text.startswith("-") else text for text in every]
    assert got == [text.encode("utf-8", "surrogateescape") for text in wanted]


@pytest.mark.parametrize("text", ["3.5.0", "3.6.0rc1", "1!2.0+cpu"])
def test_versions_need_no_quotes_or_have_them(text: str) -> None:
    assert printed(f"printf %s {escape.word(text)}") == text.encode()
    assert escape.word("3.5.0") == "3.5.0"
    assert escape.word("-x; y") == '"./-x; y"'
