"""Tables of the documentation's site, sorted in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, Browser, browsing

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: apt install chromium chromium-driver"
    ),
]

SCRIPT = Path(__file__).parents[2] / "docs" / "assets" / "sort.js"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize(
    "ascending",
    [
        ["", "× 0.66 (better)", "× 1.5 (worse)", "× 10 (worse)"],
        ["−2 %", "0.5", "1,234", "8.01e+06 ε (1.0e+00)"],
        ["3.5.0 → 3.6.0", "3.10.0", "3.15.1"],
        ["7 of none", "12 ε", "none"],
        ["bfloat16: jax", "float32: jax", "float32: torch"],
        ["1.5", "x 2", "y 2"],
    ],
    ids=str,
)
def test_a_column_is_sorted_as_it_is_read(
    browser: Browser, tmp_path: Path, ascending: list[str]
) -> None:
    cells = "".join(f"<tr><td>{escape(text)}</td></tr>" for text in reversed(ascending))
    page = tmp_path / "page.html"
    page.write_text(
        f"<html data-drawn=1><meta charset=utf-8><article><table><thead><tr><th>a</th></tr></thead><tbody>{cells}"
        "</tbody></table></article><script>const document$ = {subscribe: (f) => f()};</script>"
        f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>",
        encoding="utf-8",
    )
    browser.open(page.as_uri())
    read = "return [...document.querySelectorAll('td')].map(cell => cell.textContent)"
    browser.script("document.querySelector('th').click()")
    assert browser.script(read) == ascending
    browser.script("document.querySelector('th').click()")
    assert browser.script(read) == ascending[::-1]
    assert browser.errors() == []
