"""The line of somebody else's error that tells what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.errors import telling_line

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
