"""What messages are made of: the line of somebody else's error that tells what happened, the word
that was meant, and what was given instead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.errors import a_kind, did_you_mean, nearest, telling_line

BOLD = "\x1b[1m{}\x1b[0m"


def wrapped(what: str, where: str = "Dense.call()") -> str:
    arguments = f"Arguments received by {where}:\n  • x=1\n\n  • y=2"
    return f"Exception encountered when calling {where}.\n\n{BOLD.format(what)}\n\n{arguments}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("ValueError: a\nb", "ValueError: a"),
        ("plain", "plain"),
        (wrapped("boom"), "boom (in Dense.call())"),
        (f"ValueError: {wrapped('boom')}", "ValueError: boom (in Dense.call())"),
        ("ValueError: " + wrapped("two\nlines"), "ValueError: two (in Dense.call())"),
        (
            f"TypeError: {wrapped(wrapped('boom'), 'Outer.call()')}",
            "TypeError: boom (in Dense.call()) (in Outer.call())",
        ),
        ("ValueError: Exception encountered when calling X.call().", None),
        ("ValueError: Exception encountered when calling X.call().\n\n", None),
    ],
)
def test_the_line_that_tells(text: str, line: str | None) -> None:
    expected = text.strip() if line is None else line
    assert telling_line(text) == expected


@given(st.text())
def test_any_text_gives_one_line(text: str) -> None:
    assert len(telling_line(text).splitlines()) <= 1


def test_the_nearest_word_comes_first() -> None:
    names = ["blocks/0/attention:query", "blocks/1/attention:query", "head"]
    assert nearest("block/0/attention:query", names, 3)[0] == "blocks/0/attention:query"
    assert nearest("zzz", names) == []


@pytest.mark.parametrize(
    ("word", "said"), [("rtoll", "Did you mean 'rtol'? "), ("zzz", ""), (3, ""), ("", "")]
)
def test_nothing_is_suggested_where_nothing_is_alike(word: object, said: str) -> None:
    assert did_you_mean(word, ("k", "rtol", "atol")) == said


def test_what_was_given_has_its_article() -> None:
    given = (3, [], None, np.zeros(2), object())
    assert [a_kind(value) for value in given] == [
        "an int",
        "a list",
        "a NoneType",
        "an ndarray",
        "an object",
    ]
