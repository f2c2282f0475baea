"""The HTML report in a real browser: what a reader sees, finds and can share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from browser import CHROMIUM, DRIVER, Browser, browsing
from outcomes_made import decoder, outcome, tensor
from plotly.offline import get_plotlyjs

from pytest_keras_golden.compare.logits import logits_metrics
from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.report.escape import visible
from pytest_keras_golden.report.html import render
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.files import save

pytestmark = pytest.mark.processes

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser: apt install chromium chromium-driver"
)
HOSTILE = "tests/test_x.py::test_a[</script><img src=x onerror=alert(1)>&amp;\u2028'\"]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def drawn_decoder(folder: Path) -> TestOutcome:
    """The decoder's outcome with a golden and a candidate on disk, a head and a token apart."""
    rng = np.random.default_rng(0)
    made = decoder(4)
    golden: dict[str, np.ndarray] = {}
    for item in made.tensors:
        values = rng.standard_normal(item.shape)
        if item.kind == "attention":
            values = np.exp(values) / np.exp(values).sum(-1, keepdims=True)
        golden[item.name] = values.astype(ml_dtypes.bfloat16)
    run = {name: values.copy() for name, values in golden.items()}
    run["blocks/2/attention/probabilities"][0, 1, 8, 3] += ml_dtypes.bfloat16(0.5)
    run["logits"][0, 12, 99] = 20
    paths = [folder / f"{name}.safetensors" for name in ("golden", "run")]
    for path, arrays in zip(paths, (golden, run), strict=True):
        save(path, _recording(made, arrays), folder / "locks")
    tensors = tuple(
        replace(t, k=40.0, verdict="drift") if "2/" in t.name else t for t in made.tensors
    )
    return replace(made, golden=str(paths[0]), candidate=str(paths[1]), tensors=tensors)


def drawn_classifier(folder: Path) -> TestOutcome:
    """The outcome of a classifier of four rows, one of which another class has now."""
    golden = np.random.default_rng(0).standard_normal((4, 10)).astype("float32")
    run = golden.copy()
    run[2, 7] = 20
    flips = logits_metrics(run, golden)
    assert flips is not None
    moved = tensor(
        "logits", 0, k=40.0, kind="logits", dtype="float32", precision="float32", shape=(4, 10),
        extra=flips.to_extra(), index=(2, 7),
    )  # fmt: skip
    made = outcome(moved, nodeid="test_classifier.py::test_rows")
    paths = [folder / f"{name}.safetensors" for name in ("golden", "run")]
    for path, array in zip(paths, (golden, run), strict=True):
        save(path, _recording(made, {"logits": array}), folder / "locks")
    return replace(made, golden=str(paths[0]), candidate=str(paths[1]))


def _recording(made: TestOutcome, arrays: dict[str, np.ndarray]) -> Recording:
    entries = tuple(
        TensorEntry(
            *(t.name, t.order, t.kind, t.dtype, t.shape, t.precision, True, "materialised"),
            digest=digest(arrays[t.name]),
            rms=1.0,
        )
        for t in made.tensors
    )
    header = GoldenHeader(stack={"keras": "3.5.0"}, mode="eager", tensors=entries)
    return Recording(header, tuple(TensorRecord(t.name, arrays[t.name]) for t in made.tensors))


def page(folder: Path, *tests: TestOutcome, errors: tuple[str, ...] = ()) -> str:
    path = folder / "report.html"
    path.write_text(render(log_json(1, {}, tests, errors)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def suite(tmp_path: Path) -> list[TestOutcome]:
    quiet = [outcome(tensor("a", 0), nodeid=f"tests/test_q.py::test_{i}") for i in range(30)]
    hostile = outcome(tensor("<b>bold</b>", 0, k=9.0), nodeid=HOSTILE)
    recorded = outcome(tensor("a", 0), nodeid="new", outcome="recorded", baseline=None)
    return [*quiet, hostile, recorded, drawn_decoder(tmp_path)]


def test_the_page_is_whole_and_names_no_other_place(suite: list[TestOutcome]) -> None:
    text = render(log_json(1, {}, suite))
    assert "default-src 'none'" in text
    assert get_plotlyjs() in text
    ours = text.replace(get_plotlyjs(), "")
    assert re.findall(r"https?://", ours) == []
    assert "<link" not in ours
    assert ours.count("</script>") == ours.count("<script")
    blocks = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', text)
    assert all(json.loads(block) for _, block in blocks)
    assert len([name for name, _ in blocks if name.startswith("test-")]) == len(suite)


@needs_chromium
def test_the_first_screen_gives_the_verdict_the_stack_and_the_counts(
    browser: Browser, suite: list[TestOutcome], tmp_path: Path
) -> None:
    browser.open(page(tmp_path, *suite))
    text = browser.script("return document.body.innerText")
    assert "2 of 33 tests moved between Keras 3.5.0 and 3.6.0 (2 drift)" in text
    assert "keras 3.5.0 → 3.6.0" in text
    seen = browser.script(
        "return [...document.querySelectorAll('#verdicts button')].map(b => b.innerText)"
    )
    assert seen == ["2 drift", "1 recorded", "30 identical"]
    shares = browser.script(
        "return [...document.querySelectorAll('#bar span')].map(s => [s.clientWidth, "
        "getComputedStyle(s).backgroundColor])"
    )
    assert shares[2][0] > 5 * shares[0][0] > 0
    assert len({colour for _, colour in shares}) == 3
    assert browser.errors() == []


@needs_chromium
def test_a_test_shows_its_sentence_curves_table_pictures_and_commands(
    browser: Browser, suite: list[TestOutcome], tmp_path: Path
) -> None:
    browser.open(
        page(tmp_path, *suite) + "#test=tests%2Ftest_gpt.py%3A%3Atest_prefill%5Bbfloat16%5D"
    )
    text = browser.script("return document.getElementById('test').innerText")
    assert "2 of 5 tensors drifted between Keras 3.5.0 and 3.6.0" in text
    assert "head 1; queries from top to bottom" in text
    assert "position 12: token" in text
    assert "→ 99" in text
    assert 'pytest "tests/test_gpt.py::test_prefill[bfloat16]" --update-goldens' in text
    names = "return document.querySelector(arguments[0]).data.map(trace => trace.name)"
    assert browser.script(names, ".depth") == ["run", "local"]
    assert browser.script(names, ".maps")[:2] == ["baseline", "run"]
    values = browser.script(
        "return [...document.querySelectorAll('.heat, .maps')].flatMap(chart => "
        "chart.data.map(trace => new Set(trace.z.flat()).size))"
    )
    assert len(values) == 4
    assert min(values) > 1
    images = "return document.querySelectorAll('.chart .heatmaplayer image').length"
    assert browser.script(images) == 4
    counts = browser.script("return document.querySelector('.ulps').data[0].y")
    chosen = browser.script("return document.querySelector('select').value")
    assert sum(counts) == next(math.prod(t.shape) for t in suite[-1].tensors if t.name == chosen)
    assert browser.script(
        "const t = document.querySelector('.scroll'); return t.scrollWidth <= t.clientWidth"
    )
    marked = browser.script(
        "return [...document.querySelectorAll('tr.first td.name')].map(c => c.innerText)"
    )
    assert len(marked) == 1


@needs_chromium
def test_a_classifier_is_told_in_classes_and_rows(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, drawn_classifier(tmp_path)))
    text = browser.script("return document.body.innerText")
    assert "Likeliest classes, before and after" in text
    assert "row 2: class" in text
    assert "Where it changed: layer by row" in text
    assert "predictions change" in text
    assert "token" not in text.lower()
    assert "position" not in text
    assert browser.errors() == []


@needs_chromium
def test_what_was_not_looked_at_is_counted_and_named(browser: Browser, tmp_path: Path) -> None:
    trains = TestOutcome("t.py::test_<b>", "passed", unseen=("fit", "losses"))
    browser.open(page(tmp_path, outcome(tensor("a", 0)), trains, TestOutcome("u", "passed")))
    text = browser.script("return document.getElementById('facts').textContent")
    assert "1 test trains or evaluates only: not looked at (fit 1, losses 1)" in text
    assert "1 other test called no Keras model" in text
    named = browser.script("return document.querySelector('#facts details li').textContent")
    assert named == "t.py::test_<b> fit, losses"
    assert browser.errors() == []


@needs_chromium
def test_names_are_text_whatever_they_contain(
    browser: Browser, suite: list[TestOutcome], tmp_path: Path
) -> None:
    browser.open(page(tmp_path, *suite))
    seen = visible(HOSTILE)
    browser.script("location.hash = '#test=' + encodeURIComponent(arguments[0])", seen)
    browser.until("return document.querySelector('#test h2').textContent === arguments[0]", seen)
    # Charts too: plotly reads a subset of HTML, links among it.
    drawn = browser.script("return document.querySelector('.depth').data[0].customdata[0][0]")
    assert drawn == "&lt;b&gt;bold&lt;/b&gt;"
    assert browser.script("return document.querySelectorAll('img, b.bold, #test b').length") == 0
    assert "<b>bold</b>" in browser.script("return document.getElementById('test').innerText")
    assert browser.errors() == []


@needs_chromium
def test_keys_search_filter_and_deep_links(
    browser: Browser, suite: list[TestOutcome], tmp_path: Path
) -> None:
    browser.open(page(tmp_path, *suite))
    current = "return document.querySelectorAll('#tests a')[arguments[0]].ariaCurrent === 'true'"
    # Faster than the charts of the tests in between are drawn.
    browser.keys("j", "j", "j", "k")
    browser.until(current, 2)
    browser.keys("k", "k", "k")
    browser.until(current, 0)
    browser.keys("/", *"test_q 17", "Enter")
    browser.until("return document.querySelectorAll('#tests li').length === 1")
    browser.until("return document.querySelector('#test h2').textContent.endsWith('_17')")
    shared = browser.script("return location.href")
    browser.keys("/", "Escape")
    browser.until("return document.querySelectorAll('#tests li').length === 33")
    browser.open(shared)
    browser.until("return document.querySelector('#test h2').textContent.endsWith('_17')")
    browser.script("document.querySelector('#verdicts button').click()")
    assert browser.script("return document.querySelectorAll('#tests li').length") == 2
    assert "2 of 33 tests" in browser.script("return document.getElementById('found').innerText")


@needs_chromium
def test_light_dark_narrow_and_print(
    browser: Browser, suite: list[TestOutcome], tmp_path: Path
) -> None:
    browser.open(page(tmp_path, *suite))
    back = "return getComputedStyle(document.body).backgroundColor"
    light = browser.script(back)
    browser.emulate(prefers_color_scheme="dark")
    browser.until(f"{back} !== arguments[0]", light)
    dark = browser.script(back)
    assert sum(_rgb(light)) > 600 > 200 > sum(_rgb(dark))
    browser.emulate(media="print")
    hidden = "return getComputedStyle(document.getElementById('find')).display"
    browser.until(f"{hidden} === 'none'")
    browser.emulate()
    browser.resize(500, 900)
    browser.until("return window.innerWidth < 700")
    browser.until("return document.documentElement.scrollWidth <= window.innerWidth")
    browser.resize(1400, 1000)


@needs_chromium
def test_charts_follow_the_scheme(browser: Browser, tmp_path: Path) -> None:
    browser.open(page(tmp_path, drawn_decoder(tmp_path)))
    colours = "return JSON.stringify(document.querySelector('.heat').data[0].colorscale)"
    light = browser.script(colours)
    browser.emulate(prefers_color_scheme="dark")
    browser.until(f"{colours} !== arguments[0]", light)
    browser.emulate()


def _rgb(colour: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def _milliseconds_to_draw(browser: Browser, path: Path) -> float:
    """Loaded, parsed and drawn; by the page's own clock, from the start of navigation."""
    browser.open(path.as_uri())
    return float(browser.script("return document.documentElement.dataset.drawn"))


@needs_chromium
def test_a_thousand_tests_of_200_tensors_open_at_once(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = [
        tuple(
            tensor(f"blocks/{j // 4}/part{j % 4}", j, k=float(rng.lognormal()), detects=1.3e-3)
            for j in range(200)
        )
        for _ in range(20)
    ]
    log = log_json(1, {}, [outcome(*group) for group in tensors])
    log["tests"] = [{**log["tests"][i % 20], "nodeid": f"t_{i}.py::test"} for i in range(1000)]
    path = tmp_path / "report.html"
    text = render(log)
    assert len(text) - len(get_plotlyjs()) < 15e6
    path.write_text(text, encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.script("return document.querySelectorAll('#tests li').length") == 1000
    assert min(_milliseconds_to_draw(browser, path) for _ in range(3)) < 3000
    browser.script("location.hash = '#test=t_500.py%3A%3Atest'")
    browser.until("return document.querySelector('#test h2').textContent === 't_500.py::test'")
    searched = browser.script(
        "const t = performance.now(); const s = document.getElementById('search');"
        "s.value = 't_99'; s.dispatchEvent(new Event('input')); return performance.now() - t"
    )
    assert searched < 500
