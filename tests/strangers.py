"""Texts that renderers must not obey, and parsers that tell whether one was."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "```\n# heading\n```",
    "`a``b`",
    "a`b",
    "`a``@x",
    "[x](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example/x www.evil.example",
    "@everyone #12 GH-12 org/repo#3 !4 ~label",
    "a@b.example",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil\x07link",
    "admin\u202etxt.exe \u2066x\u2069",
    "a\nb\r\nc\u2028d\x85e",
    "[red]x[/red] [/data/x] [link=https://evil]x[/link]",
    ":smile: $x^2$ &lt;b&gt; &amp; \\* \\| a\\|b |",
    "</script><!--", "<details>", "- item", "1. item", "    code", "===", "---", "> quote", "| a |",
    "\ud800 lone", "\0", "\t", "", " ", "--help", "$(touch x)", "'; touch x; '", "!history",
)  # fmt: skip
texts = st.text(max_size=10) | st.lists(st.sampled_from(HOSTILE), max_size=3).map(" ".join)
texts |= st.text(st.sampled_from("`|\\*_[]()<>#@!&~-+=.:/ \n\taΔ1\x1b\u202e"), max_size=30)


def controls(text: str) -> list[str]:
    """What is obeyed rather than seen."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def words(text: str) -> str:
    """Without white space, which Markdown and we fold."""
    return "".join(text.split())


def markdown(text: str) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.parse(text)


def spans(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or [token]]


def said(tokens: list[Token]) -> str:
    return "".join(t.content for t in spans(tokens) if t.type in ("text", "code_inline"))


FORGES = re.compile(
    r"(?<![\w/])@\w|(?<!\w)#\d|\w+#\d|https?://|ftp://|\bwww\.\w|\S+@\S+\.\S|\bGH-\d|\$\S+\$",
    re.IGNORECASE,
)
"""What GitHub's filters make live in the text that is left when Markdown is done."""

INERT = frozenset({"text", "code_inline", "softbreak", "inline", "paragraph_open"})
INERT |= {"paragraph_close", "strong_open", "strong_close", "fence"}


def assert_dead(tokens: list[Token], *, also: frozenset[str] = frozenset()) -> None:
    """No link, image, HTML or emphasis; nothing in plain text that a forge would link."""
    found = {token.type for token in spans(tokens)}
    assert found <= INERT | also, found - INERT - also
    # Fences are code; what HTML blocks hold their own tests look at.
    every = (t for t in spans(tokens) if t.type not in ("fence", "html_block"))
    plain = "".join("·" if t.type == "code_inline" else t.content or " " for t in every)
    assert not FORGES.search(plain), plain


class Page(HTMLParser):
    """Tags and text of a page, attributes' values included."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += "".join(str(value) for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)
