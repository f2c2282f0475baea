"""Outcomes as one self-contained HTML page, which opens at once for 1,000 tests of 200 tensors.

Text repeats, so it is kept once in a table; each test's tensors are a compact JSON of their own,
which the page parses when the test is opened. The page holds plotly.js (4.8 MB), so that it needs
no network, and runs it when the first chart is drawn.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from ..names import natural
from ..outcomes import QUIET, LocalOutcome, TensorOutcome, TestOutcome
from . import tokens
from .amount import moved_most, own_strain, percent
from .asides import asides, told, unseen, with_left_alone
from .attribution import stack_lines
from .drawings import draw
from .escape import shown
from .layernames import name_lines
from .runs import conclusion, read
from .sentence import further_warnings, headline
from .steps import next_steps
from .summary import (
    blamed,
    first_drift,
    positions,
    strain,
    tensor_counts,
    verdict_of,
    worst_first,
)
from .template import filled
from .wording import families, severity, tolerance

DRAWN = 60
"""Tests whose tensors are read for heat maps and the like; the most severe come first."""


class _Table:
    """Texts that occur often, each kept once and named by its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


@dataclass(frozen=True, slots=True)
class Entry:
    """One test of a page. word: what the list says of it, a verdict or a status. name: what it is
    listed under; its node id without one. lead: the sentence on top of it, where its outcome does
    not tell. steps: why and command, in the place of the outcome's own. alike: the place of the
    entry that stands for it in the list."""

    outcome: TestOutcome
    word: str
    name: str = ""
    lead: str = ""
    steps: tuple[tuple[str, str], ...] | None = None
    alike: int | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """What stands above the tests beside counts. sections: heading and lines. grid: a table of
    cells, each [text, why, is it bad, place of its entry or None]; its first row are headings."""

    product: str = "Golden tensors"
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    grid: tuple[tuple[Any, ...], ...] = ()


def render(log: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """One `--golden-log` document, or several, as an HTML page without any outside reference.

    Goldens and candidates that the log names are read for the pictures, where they still exist.
    """
    runs = read(log)
    ran = [with_left_alone(test) for test in runs.ran]
    tests = sorted(runs.tests, key=lambda test: (-severity_of(test), natural(test.nodeid)))
    return written(
        [Entry(test, verdict_of(test)) for test in tests],
        conclusion(runs),
        facts={
            "errors": runs.errors[:50],
            "asides": asides(ran),
            "unseen": [[test.nodeid, told(test)] for test in unseen(ran)],
        },
    )


def written(
    entries: Sequence[Entry],
    sentence: str,
    facts: Mapping[str, Any],
    overview: Overview | None = None,
) -> str:
    """The page of some tests, in their order, below a sentence. facts: `errors`, `asides` and
    `unseen` of what is no entry."""
    texts = _Table()
    tests = [entry.outcome for entry in entries]
    index = [_summary(entry) for entry in entries]
    details = [_detail(entry, texts) for entry in entries]
    drawings = _drawings(tests)
    above = overview or Overview()
    page = {
        "verdicts": Counter(entry.word for entry in entries),
        "tensors": tensor_counts(tests),
        "stack": sorted({line for test in tests for line in stack_lines(test)}),
        **facts,
        "sections": above.sections,
        "steps": above.steps,
        "grid": above.grid,
        "tests": index,
        "texts": list(texts.numbers),
    }
    blocks = [_block("report", page)]
    blocks += [_block(f"test-{place}", detail) for place, detail in enumerate(details)]
    blocks += [_block(f"drawing-{place}", drawing) for place, drawing in drawings]
    charts = bool(drawings) or any(map(_is_drawn, tests))
    return _page(blocks, above.product, sentence, charts)


def _is_drawn(outcome: TestOutcome) -> bool:
    """Whether there is a curve of its drift against depth."""
    return any(map(strain, outcome.tensors)) or any(map(own_strain, outcome.locals))


def severity_of(outcome: TestOutcome) -> int:
    """Order of the list: what needs a reader first, then recorded and skipped, then what holds."""
    verdict = verdict_of(outcome)
    if verdict in {"recorded", "skipped", "xfailed"}:
        return 0
    return -1 if verdict in QUIET else severity(verdict)


def _drawings(tests: Sequence[TestOutcome]) -> list[tuple[int, Mapping[str, Any]]]:
    drawn: list[tuple[int, Mapping[str, Any]]] = []
    for place, outcome in enumerate(tests):
        if len(drawn) == DRAWN:
            break
        drawing = draw(outcome)
        if drawing is not None:
            drawn.append((place, drawing))
    return drawn


def _summary(entry: Entry) -> Mapping[str, Any]:
    """What the list shows of a test; absent facts are left out."""
    outcome = entry.outcome
    first = first_drift(outcome)
    most = moved_most(outcome)
    facts = {
        "id": entry.name or outcome.nodeid,
        "verdict": entry.word,
        "first": None if first is None else first.name,
        "share": None if most is None or not most.rel_l2 else percent(most.rel_l2),
        "strain": _short(max(map(strain, outcome.tensors), default=0.0)),
        "local": families(layer.name for layer in blamed(outcome)),
        "tensors": dict(tensor_counts([outcome])),
        "tokens": tokens.phrase(outcome),
        "flips": tokens.flipped(outcome),
    }
    alike = {} if entry.alike is None else {"alike": entry.alike}
    return {key: value for key, value in facts.items() if value} | alike


def _detail(entry: Entry, texts: _Table) -> Mapping[str, Any]:
    """Tensors and layers as rows of numbers; see the reading side in assets/report.js."""
    outcome = entry.outcome
    layers = {layer.name: layer for layer in outcome.locals}
    tensors = sorted(outcome.tensors, key=lambda tensor: tensor.order)
    names = {tensor.name for tensor in tensors}
    guilty = set(outcome.local_drift)
    loud = bool(worst_first([outcome]))
    facts = {
        "headline": entry.lead or (headline(outcome) if loud else None),
        "reason": outcome.reason,
        "baseline": outcome.baseline,
        "keras": outcome.stack.get("keras"),
        "stack": stack_lines(outcome),
        "names": name_lines(outcome),
        "isolation": outcome.isolation,
        "weights": outcome.weights,
        "mode": outcome.mode,
        "observer": outcome.observer,
        "unseen": ", ".join(outcome.unseen),
        "warnings": further_warnings(outcome) if loud else list(outcome.warnings),
        "steps": _steps(outcome, loud) if entry.steps is None else entry.steps,
        "rows": [_row(t, layers.get(t.name), t.name in guilty, texts) for t in tensors],
        "places": [key[:2] for key in positions(tensors, outcome.locals)] if layers else None,
        "layers": [
            _layer(layer, layer.name in guilty, layer.name in names, texts)
            for layer in sorted(outcome.locals, key=lambda layer: layer.order)
        ],
    }
    return {key: value for key, value in facts.items() if value}


def _steps(outcome: TestOutcome, loud: bool) -> list[tuple[str, str]] | None:
    return next_steps(outcome) if loud else None


def _row(
    tensor: TensorOutcome, layer: LocalOutcome | None, guilty: bool, texts: _Table
) -> list[Any]:
    """[name, kind, dtype and shape, verdict, judged, tolerance, detects, k, strain, L2, |Δ|, ULP,
    bias, local k, guilty, note, cause]; zeros at the end are cut off."""
    shape = "×".join(map(str, tensor.shape)) or "scalar"
    row = [
        texts.number(tensor.name),
        texts.number(tensor.kind),
        texts.number(f"{tensor.dtype} {shape}"),
        texts.number(tensor.verdict),
        int(tensor.judged),
        texts.number(tolerance(tensor.tolerance)),
        _short(tensor.detects),
        _short(tensor.k),
        _short(strain(tensor)),
        _short(tensor.rel_l2),
        _short(tensor.max_abs),
        tensor.max_ulp or 0,
        _short(tensor.bias),
        None if layer is None else _short(layer.k),
        int(guilty),
        texts.number(tensor.note or ""),
        texts.number("" if layer is None else layer.cause or ""),
    ]
    return _cut(row)


def _cut(row: list[Any]) -> list[Any]:
    while row and row[-1] in (0, None):
        row.pop()
    return row


def _layer(layer: LocalOutcome, guilty: bool, is_tensor: bool, texts: _Table) -> list[Any]:
    """[name, verdict, k, strain, L2, guilty, is also a tensor, bias, cause]"""
    return [
        texts.number(layer.name),
        texts.number(layer.verdict),
        _short(layer.k),
        _short(own_strain(layer)),
        _short(layer.rel_l2),
        int(guilty),
        int(is_tensor),
        _short(layer.bias),
        texts.number(layer.cause or ""),
    ]


def _short(value: float | None) -> float | int | str | None:
    """Three significant digits; infinities and NaN as text, since JSON has none."""
    if value is None:
        return None
    short = float(f"{value:.3g}")
    if not math.isfinite(short):
        return str(short)
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def _block(name: str, value: Any) -> tuple[str, str]:
    text = _dumped(value)
    if not text.isprintable() or re.search(r"\\[bfnrtu]", text):
        text = _dumped(shown(value))
    # `</script>` and `<!--` would end or confuse the element; JSON reads the escape as `<`.
    return name, text.replace("<", "\\u003c")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _page(blocks: Sequence[tuple[str, str]], product: str, sentence: str, charts: bool) -> str:
    package = "pytest_keras_golden.report"
    assets = files(package) / "assets"
    return filled(
        package,
        "report.html",
        product=product,
        title=sentence.replace("`", ""),
        sentence=sentence,
        style=(assets / "report.css").read_text(encoding="utf-8"),
        blocks=blocks,
        plotly=_plotly() if charts else "",
        script=(assets / "report.js").read_text(encoding="utf-8"),
    )


def _plotly() -> str:
    """The library's source; nothing where it is not installed, which the page then says."""
    if find_spec("plotly") is None:
        return ""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source
