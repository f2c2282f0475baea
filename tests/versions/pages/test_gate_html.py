"""The page of a gate and of a matrix, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, Browser, browsing
from gates import broke, gate_of, held, moved, trains

from pytest_keras_golden.versions.accepted import Acceptance, Bounds
from pytest_keras_golden.versions.changes import Change
from pytest_keras_golden.versions.gate import GateResult
from pytest_keras_golden.versions.matrix import Cell, MatrixResult
from pytest_keras_golden.versions.pages import gate_html, matrix_html
from pytest_keras_golden.versions.review import Review

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: apt install chromium chromium-driver"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def opened(browser: Browser, folder: Path, html: str) -> str:
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    browser.open(path.as_uri())
    return str(browser.script("return document.body.innerText"))


def red() -> GateResult:
    return gate_of(broke(), moved(), held(), trains())


def test_a_red_gate_is_told_from_the_sentence_to_the_pictures(
    browser: Browser, tmp_path: Path
) -> None:
    text = opened(browser, tmp_path, gate_html.page(red()))
    assert "keras 3.5.0 → 3.6.0: DRIFT of up to 0.9 %, 1.8× the limit" in text
    sections = browser.script(
        "return [...document.querySelectorAll('#overview h2')].map(h => h.innerText)"
    )
    assert sections == ["Sides", "Changes", "Compared", "Not compared", "Runs", "What to run next"]
    assert "keras 3.5.0 → 3.6.0" in text
    assert "tests/test_mlp.py: 1 test, 1 tensor (1 identical)" in text
    assert "1 test with Keras in ways that are not looked at" in text
    words = browser.script(
        "return [...document.querySelectorAll('#verdicts button')].map(b => b.innerText)"
    )
    assert words == ["1 broke", "1 moved", "1 holds"]
    assert "TypeError: no <b>argument</b>" in text
    browser.script("document.querySelectorAll('#tests a')[1].click()")
    browser.until("return document.querySelector('.depth .main-svg')")
    shown = browser.script("return document.getElementById('test').innerText")
    assert "first logits: 0.9 % (relative L2)" in shown
    assert "keras-golden bisect 3.5.0 3.6.0 -- tests/ -k gpt" in shown
    assert "--update-goldens" not in text + shown
    assert "`" not in text + shown
    assert browser.errors() == []


def test_tests_that_share_a_reason_are_folded_into_the_first(
    browser: Browser, tmp_path: Path
) -> None:
    rows = (replace(broke(), nodeid=f"tests/test_old.py::test_{i}") for i in range(12))
    opened(browser, tmp_path, gate_html.page(gate_of(*rows, held())))
    names = "return [...document.querySelectorAll('#tests li')].map(li => li.innerText)"
    first, more, other = browser.script(names)
    assert first.startswith("tests/test_old.py::test_0")
    assert more == "and 11 more"
    assert other.startswith("tests/test_mlp.py::test_call")
    assert browser.script("return document.getElementById('found').innerText") == "13 tests"
    # An address leads to one that is folded away, too.
    browser.script("location.hash = '#test=' + encodeURIComponent('tests/test_old.py::test_7')")
    browser.until("return document.querySelector('#test h2').innerText.endsWith('test_7')")
    assert len(browser.script(names)) == 13
    assert browser.errors() == []


def test_a_gate_that_holds_with_something_accepted(browser: Browser, tmp_path: Path) -> None:
    entry = Acceptance(
        (Change("keras", "3.5.0", "3.6.0"),), "final_norm", ("t",), "drift", Bounds(),
        "nearer to float64", "2026-11-26",
    )  # fmt: skip
    row = moved()
    row = type(row)(row.nodeid, "accepted", row.outcome, "final_norm: nearer to float64")
    gate = gate_of(row, held(), review=Review((row,), {entry: (row.nodeid,)}))
    text = opened(browser, tmp_path, gate_html.page(gate))
    assert "holds; 1 accepted change. 2 tests compared" in text
    assert "accepted: final_norm in 1 test (keras 3.5.0 → 3.6.0, 2026-11-26)" in text
    assert "Accepted, final_norm: nearer to float64." in text
    assert "What to run next" not in text


def test_light_dark_and_narrow(browser: Browser, tmp_path: Path) -> None:
    pages = (gate_html.page(red()), matrix_html.page(matrix()))
    back = "return getComputedStyle(document.body).backgroundColor"
    for html in pages:
        opened(browser, tmp_path, html)
        light = browser.script(back)
        browser.emulate(prefers_color_scheme="dark")
        browser.until(f"{back} !== arguments[0]", light)
        browser.emulate()
        browser.resize(500, 900)
        browser.until("return window.innerWidth < 700")
        browser.until("return document.documentElement.scrollWidth <= window.innerWidth")
        browser.resize(1400, 1000)
        assert browser.errors() == []


def matrix() -> MatrixResult:
    row = moved()
    kept = held(row.nodeid)
    versions = ("3.5.0", "3.6.0", "3.7.0")
    cells = {
        "3.5.0": Cell(row.nodeid, "3.5.0", "holds", anchor="identical", outcome=kept.outcome),
        "3.6.0": Cell(row.nodeid, "3.6.0", "moved", "drift", "drift", ("final_norm",),
                      ("final_norm",), outcome=row.outcome),
        "3.7.0": Cell(row.nodeid, "3.7.0", "lost", reason="no such version"),
    }  # fmt: skip
    return MatrixResult("keras", versions, {row.nodeid: cells}, dict.fromkeys(versions, 2.0))


def test_a_matrix_leads_from_its_table_to_each_cell(browser: Browser, tmp_path: Path) -> None:
    text = opened(browser, tmp_path, matrix_html.page(matrix()))
    assert "2 red cells of 1 test × 3 versions, the first under 3.6.0" in text
    assert "3.6.0: 1 of 1 test red, up to 0.9 %, 1.8× the limit" in text
    cells = browser.script(
        "return [...document.querySelectorAll('#grid td')].map(c => c.innerText)"
    )
    assert cells == ["identical", "drift", "lost"]
    browser.script("document.querySelectorAll('#grid td a')[1].click()")
    browser.until("return document.querySelector('#test h2').innerText.startsWith('3.7.0 · ')")
    browser.script("document.querySelectorAll('#grid td a')[0].click()")
    browser.until("return document.querySelector('#test h2').innerText.startsWith('3.6.0 · ')")
    browser.until("return document.querySelector('.depth .main-svg')")
    assert browser.errors() == []


def test_no_plotly_where_nothing_is_drawn() -> None:
    drawn, plain = gate_html.page(red()), gate_html.page(gate_of(broke(), held()))
    assert len(drawn) > 3e6
    assert len(plain) < 2e5


WITHOUT = """
import sys
from pathlib import Path
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "plotly":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
sys.path[:0] = sys.argv[1:3]
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "plotly" else real(name, *a)
from gates import gate_of, moved
from pytest_keras_golden.report.template import TEXT, demand_html
from pytest_keras_golden.versions.pages import gate_html
demand_html(TEXT)
Path(sys.argv[3]).write_text(gate_html.page(gate_of(moved())), encoding="utf-8")
"""


def test_without_plotly_the_page_says_where_charts_would_be(
    browser: Browser, tmp_path: Path
) -> None:
    here = Path(__file__).parent
    path = tmp_path / "page.html"
    subprocess.run(
        [sys.executable, "-c", WITHOUT, str(here), str(here.parents[1]), str(path)], check=True
    )
    browser.open(path.as_uri())
    shown = browser.script("return document.querySelector('.depth').innerText")
    assert "Charts need plotly" in shown
    assert browser.errors() == []
