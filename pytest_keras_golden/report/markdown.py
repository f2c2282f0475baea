"""Outcomes as Markdown for a job summary or a pull-request comment, always below 60 kB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..outcomes import TestOutcome
from . import tokens
from .amount import percent
from .asides import asides, named, unseen, with_left_alone
from .attribution import stack_lines
from .causes import own_change
from .escape import LONGEST, code, prose, row, sentence, summary
from .layernames import name_lines
from .runs import Runs, conclusion, read
from .sentence import headline
from .steps import next_steps
from .summary import (
    Row,
    Stretch,
    blamed,
    collapsed,
    first_drift,
    rows,
    strain,
    tensor_counts,
    verdict_counts,
    verdict_of,
    worst_first,
)
from .table import run_text
from .wording import counted, families, number, plural

LIMIT = 60_000
"""Bytes. GitHub refuses comments over 65,536 characters and cuts summaries off at 1 MiB."""

HEADINGS = "| tensor or layer | verdict | relative L2 | k / tolerance | k local |"
"""Of one test's tensors: the share that changed before the units that need explaining."""

UNSEEN = 10
"""Tests that are named though nothing of them was looked at."""

_ROOM_FOR_THE_END = 400


def render(log: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """One `--golden-log` document, or several (workers, jobs), as Markdown of less than 60 kB.

    The verdict, the counts and a row per test that needs a reader come first; the details follow
    as long as there is room, and what was left out is counted.
    """
    runs = read(log)
    loud = worst_first(runs.tests)
    head = "".join(_head(runs, bool(loud)))
    table, unlisted = _fitted(loud, _row, LIMIT // 2)
    room = LIMIT - _ROOM_FOR_THE_END - len((head + table).encode())
    details, untold = _fitted(loud, _details, room)
    return head + table + details + _left_out(unlisted, untold)


def _head(runs: Runs, loud: bool) -> Iterator[str]:
    yield f"### Golden tensors: {_short(conclusion(runs))}\n\n"
    yield from _overview(runs)
    if loud:
        yield "| test | verdict | first | used of its tolerance | local drift | predictions |\n"
        yield "|---|---|---|---:|---|---|\n"


def _overview(runs: Runs) -> Iterator[str]:
    tests, errors = runs.tests, runs.errors
    if tests:
        yield f"- tests: {_short(counted(verdict_counts(tests)))}\n"
        yield f"- tensors: {_short(counted(tensor_counts(tests)) or 'none compared')}\n"
    ran = [with_left_alone(test) for test in runs.ran]
    yield from (f"- {_short(aside)}\n" for aside in asides(ran))
    yield from (f"  - {_short(line)}\n" for line in named(unseen(ran), UNSEEN))
    for line in sorted({line for test in tests for line in stack_lines(test)})[:12]:
        yield f"- stack: {_short(line)}\n"
    for error in errors[:10]:
        yield f"- collection error: {_short(error)}\n"
    if len(errors) > 10:
        yield f"- and {plural(len(errors) - 10, 'more collection error')}\n"
    yield "\n"


def _short(text: str) -> str:
    """Prose of the head, of which every line must leave room for the others."""
    return prose(text, 2 * LONGEST)


def _row(outcome: TestOutcome) -> str:
    first = first_drift(outcome)
    used = "" if first is None or not strain(first) else f"{number(strain(first))}×"
    guilty = ", ".join(
        f"{code(name)}" + (f" ×{count}" if count > 1 else "")
        for name, count in list(families(x.name for x in blamed(outcome)).items())[:3]
    )
    cells = (
        code(outcome.nodeid),
        f"**{prose(verdict_of(outcome))}**",
        "" if first is None else code(first.name),
        used,
        guilty,
        prose(tokens.phrase(outcome)),
    )
    return row(*cells) + "\n"


def _details(outcome: TestOutcome) -> str:
    lines = [f"\n<details>{summary(outcome.nodeid)}\n", sentence(headline(outcome)), ""]
    shown = collapsed(rows(outcome))
    if shown:
        lines += [HEADINGS, "|---|---|---:|---:|---:|"]
        lines += [_layer(item) for item in shown]
    lines += ["", *(f"- {sentence(line)}" for line in name_lines(outcome))]
    lines += ["", "```sh", *(command for _, command in next_steps(outcome)), "```", "</details>\n"]
    return "\n".join(lines)


def _layer(item: Row | Stretch) -> str:
    if isinstance(item, Stretch):
        return row(f"⋮ {prose(run_text(item))}", "", "", "", "")
    mark = ("→ " if item.first else "") + ("\\* " if item.blamed else "")
    local = prose(own_change(item.local))
    share = "" if item.tensor is None else percent(item.tensor.rel_l2)
    return row(f"{mark}{code(item.name)}", prose(item.verdict), share, _change(item), local)


def _change(item: Row) -> str:
    if item.tensor is None or item.tensor.k is None:
        return ""
    allowed = item.tensor.tolerance
    limit = f" / {number(allowed.k)}" if allowed is not None and allowed.k is not None else ""
    return f"{number(item.tensor.k)}{limit}"


def _fitted(
    tests: Sequence[TestOutcome], text: Callable[[TestOutcome], str], room: int
) -> tuple[str, int]:
    """The texts of as many tests as there is room for, and how many tests were left out."""
    kept: list[str] = []
    for outcome in tests:
        part = text(outcome)
        room -= len(part.encode())
        if room < 0:
            break
        kept.append(part)
    return "".join(kept), len(tests) - len(kept)


def _left_out(unlisted: int, untold: int) -> str:
    if not untold:
        return ""
    rows_too = f"{plural(unlisted, 'more test')} not listed, " if unlisted else ""
    return f"\n…{rows_too}details of {plural(untold, 'test')} left out: the JSON log has them.\n"
