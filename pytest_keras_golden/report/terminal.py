"""Outcomes as text for a terminal or a CI log: 100 columns, readable without colour."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

from ..io.strict import cut
from ..outcomes import QUIET, REPLACED, UNCOMPILED, UNCOVERED, TestOutcome
from . import table
from .amount import percent
from .attribution import stack_lines
from .escape import first_line, shown, visible
from .layernames import name_lines
from .sentence import further_warnings, headline, since
from .steps import accept_step, next_steps, pytest_command
from .summary import (
    accuracy,
    blamed,
    collapsed,
    first_drift,
    rows,
    strain,
    tensor_counts,
    verdict_of,
)
from .wording import counted, listed, number, plural, severity, style

NARROW, WIDTH, WIDE = 80, 100, 120
"""Columns: at least, where nobody knows, and at most."""

_COMMAND = re.compile(r"(^ *|: )(keras-golden|pytest|python|pip|git|export|make) |'--")
"""What is to be pasted: at the beginning of a line, or behind a colon (in the middle of a sentence
it is a word), and options in quotes."""


def columns() -> int:
    """Of the terminal; where there is none those that COLUMNS says, else `WIDTH`."""
    return max(NARROW, min(WIDE, shutil.get_terminal_size((WIDTH, 24)).columns))


def fitted(text: str, lead: str = "") -> str:
    """A message in lines that the terminal has room for; those with a command, which are to be
    pasted, stay whole. lead: what will stand before the first line."""
    return "\n".join(within(lead + text, columns()))[len(lead) :]


def within(text: str, width: int) -> list[str]:
    """The lines of a text, each in at most `width` columns as far as its words allow, what goes on
    indented further; but for those with a command."""
    return [part for line in text.split("\n") for part in _within(line, width)]


def _within(line: str, width: int) -> list[str]:
    if len(line) <= width or _COMMAND.search(line):
        return [line]
    bare = line.lstrip(" ")
    indent = " " * (len(line) - len(bare))
    further = "    " if indent else ""
    return [indent + part for part in _wrapped(bare, width - len(indent), further)]


def failure_page(outcome: TestOutcome, width: int = WIDTH, color: bool = False) -> str:
    """The whole picture of one test that moved, ending with the command that accepts it.

    One sentence, the layers that matter in execution order, what else changed in the stack, what
    to run next. Every judged tensor is a row or is counted in one, so verdicts add up.
    """
    return "\n".join([comparison_page(outcome, width, color), "", *_steps(outcome, width)])


def comparison_page(outcome: TestOutcome, width: int = WIDTH, color: bool = False) -> str:
    """The page without its commands: for two goldens that no test compared."""
    outcome = shown(outcome)
    verdict = verdict_of(outcome)
    lines = [f"{table.painted(verdict.upper(), style(verdict), color)}{guilty(outcome)}"]
    lines[0] += f"  {outcome.nodeid}"
    lines += _wrapped(headline(outcome), width)
    every = rows(outcome)
    if every:
        drawn = table.layers(collapsed(every), isolated=bool(outcome.locals))
        lines += ["", table.render(drawn, width, color)]
        lines += [
            part
            for line in (_total(outcome), *_legend(outcome))
            for part in _within(f"  {line}", width)
        ]
    lines += _section("names", name_lines(outcome), width)
    lines += _section("stack", stack_lines(outcome), width)
    lines += _section("note", _notes(outcome), width)
    return "\n".join(lines)


def comparison_line(outcome: TestOutcome) -> str:
    """`DRIFT in head (20 %), 31× its float32 tolerance; 3 tensors: 1 drift, 2 identical`: the
    worst tensor, in one line."""
    outcome = shown(outcome)
    judged = [tensor for tensor in outcome.tensors if tensor.judged]
    worst = max(judged, key=lambda t: (severity(t.verdict), strain(t)), default=None)
    start = verdict_of(outcome).upper()
    if worst is not None and worst.verdict != "identical":
        used = strain(worst)
        size = f" ({percent(worst.rel_l2)})" if worst.rel_l2 else ""
        limit = f", {number(used)}× its {worst.precision} tolerance" if used else ""
        start += f" in {cut(worst.name, 60)}{size}{limit}"
    counts = tensor_counts([outcome])
    return f"{start}; {plural(counts.total(), 'tensor')}: {counted(counts)}"


def guilty(outcome: TestOutcome) -> str:
    """` in norm (0.4 %) and 2 more`, the first layer to blame with its own change, else the first
    tensor: for the one line that pytest's short summary shows."""
    layers = blamed(outcome)
    first = layers[0] if layers else first_drift(outcome)
    if first is None:
        return ""
    size = f" ({percent(first.rel_l2)})" if first.rel_l2 else ""
    more = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
    return f" in {first.name}{size}{more}"


def summary_line(outcome: TestOutcome) -> str:
    """One line for `-v`: `test_a: 7 identical, 2 within (at most 0.4× tolerance) …`."""
    counts = tensor_counts([outcome])
    if outcome.outcome == "recorded":
        return f"{visible(outcome.nodeid)}: recorded"
    if not counts:
        return f"{visible(outcome.nodeid)}: {first_line(outcome.reason or outcome.outcome)}"
    outcome = shown(outcome)
    used = max((strain(t) for t in outcome.tensors if t.judged), default=0.0)
    most = f" (at most {number(used)}× tolerance)" if used else ""
    aside = [text for text in outcome.warnings if text.startswith((UNCOVERED, UNCOMPILED))]
    return "; ".join([f"{outcome.nodeid}: {counted(counts)}{most}{since(outcome)}", *aside])


def update_page(outcome: TestOutcome, width: int = WIDTH, color: bool = False) -> str:
    """What `--update-goldens` did to one test's golden, per tensor that changed."""
    outcome = shown(outcome)
    counts = tensor_counts([outcome])
    changed = counts.total() - counts["identical"]
    if not outcome.written:
        return f"unchanged  {outcome.nodeid}: {plural(counts.total(), 'tensor')}, nothing written"
    start = f"recorded  {outcome.nodeid}\n  {_from_here(outcome.golden)}"
    replaced = [text for text in outcome.warnings if text.startswith(REPLACED)]
    if outcome.baseline is None or replaced:
        return f"{start}: {replaced[0] if replaced else 'the first golden of this test'}"
    lines = [f"{start}: {changed:,} of {plural(counts.total(), 'tensor')} changed{since(outcome)}"]
    if changed:
        drawn = table.layers(collapsed(rows(outcome)), isolated=bool(outcome.locals))
        lines.append(table.render(drawn, width, color))
    lines += _section("stack", stack_lines(outcome), width)
    return "\n".join(lines)


def _from_here(path: str | None) -> str | None:
    """A path below the working directory, relative to that."""
    if path is None or not Path(path).is_relative_to(Path.cwd()):
        return path
    return str(Path(path).relative_to(Path.cwd()))


def missing_page(outcome: TestOutcome, slot: str, candidates: Iterable[object] = ()) -> str:
    """A golden that should be compared is not there: what exists, and, of a test that asks for one,
    the command that records it. Of the many others one command at the end records all."""
    recorded = [f"  {visible(str(candidate))}" for candidate in candidates]
    lines = [f"no golden to compare with: {visible(outcome.nodeid)}"]
    if not (recorded or outcome.asked):
        return f"{lines[0]} was never recorded"
    lines += [f"wanted: {visible(slot)}", "recorded for this test:"]
    lines += recorded or ["  none: this test was never recorded"]
    if outcome.asked:
        lines += ["record it, under the versions whose numbers you trust:"]
        lines += [f"  {pytest_command(outcome, '--update-goldens')}"]
    return "\n".join(lines)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _section(title: str, texts: Iterable[str], width: int) -> list[str]:
    wrapped = [line for text in texts for line in _wrapped(f"{title}: {text}", width, " " * 4)]
    return ["", *wrapped] if wrapped else []


def _total(outcome: TestOutcome) -> str:
    counts = tensor_counts([outcome])
    aside = sum(not tensor.judged for tensor in outcome.tensors)
    also = f"; {plural(aside, 'tensor')} recorded, not judged" if aside else ""
    return f"{plural(counts.total(), 'tensor')}: {counted(counts)}{also}"


def _legend(outcome: TestOutcome) -> list[str]:
    if outcome.locals:
        return ["→ first drift, * local drift; k local: the layer's own change, on golden inputs"]
    if outcome.isolation is not None and outcome.isolation not in {"not needed", "complete"}:
        return [f"isolation {outcome.isolation}: layers are not told apart from their inputs"]
    return []


def _notes(outcome: TestOutcome) -> list[str]:
    noted = [t for t in outcome.tensors if t.judged and t.note and t.verdict != "accumulated"]
    notes = [f"{t.name}: {t.note}" for t in noted if t.verdict not in QUIET][:3]
    against = accuracy(outcome)
    if against:
        notes.append(f"error against the high-precision reference: {counted(against)}")
    excused = [t for t in outcome.tensors if t.verdict == "within" and strain(t) > 1]
    if excused and against:
        names = listed(tensor.name for tensor in excused)
        notes.append(f"beyond tolerance, but no less accurate than the baseline: {names}")
    if outcome.observer == "changed":
        notes.append("watching changed the compiled numbers; outputs come from a plain run")
    if outcome.weights == "transplanted":
        notes.append("the baseline's weights were loaded into this run")
    if outcome.unseen:
        notes.append(f"not looked at: {', '.join(outcome.unseen)}")
    return [*notes, *further_warnings(outcome)]


def _steps(outcome: TestOutcome, width: int) -> list[str]:
    steps = next_steps(outcome) if verdict_of(outcome) not in QUIET else [accept_step(outcome)]
    return [
        line
        for why, command in steps
        for line in (*_wrapped(f"{why}:", width), textwrap.indent(command, "  "))
    ]
