"""What a run ends with on a terminal: counts, what moved, what was written, what nobody used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..outcomes import NO_GOLDEN, TestOutcome
from . import table
from .amount import percent
from .asides import asides, left_alone_lines, named, unseen
from .escape import first_line, visible
from .summary import (
    blamed,
    compared,
    first_drift,
    strain,
    tensor_counts,
    verdict_counts,
    verdict_of,
    worst_first,
)
from .terminal import update_page
from .wording import counted, explained, family_list, number, plural, style

FIRST_SHOWN = 3
SHOWN = 40
"""Tests listed one by one, and goldens that changed: beyond, a file is the place to read them."""


def terminal_summary(
    outcomes: Iterable[TestOutcome],
    unused: Sequence[str] = (),
    unfitting: Sequence[str] = (),
    color: bool = False,
    file: Path | None = None,
    record: str = "pytest --update-goldens",
) -> str:
    """What pytest prints at the end: tests and tensors by verdict, what moved, unused goldens and
    settings that fit nothing.

    file: what holds every test, where one was asked for. record: the command that records goldens.
    """
    every = list(outcomes)
    golden = compared(every)
    lines = [
        f"{plural(len(golden), 'golden test')}: {_painted_counts(verdict_counts(golden), color)}"
    ]
    lines += [*asides(every), *(f"  {line}" for line in named(unseen(every)))]
    tensors = tensor_counts(every)
    if tensors:
        lines.append(f"{plural(tensors.total(), 'tensor')}: {counted(tensors)}")
    lines += explained([*verdict_counts(golden), *tensors])
    loud = worst_first(golden)
    lines += [_moved(outcome, color) for outcome in loud[:SHOWN]]
    lines += _more(len(loud) - SHOWN, file)
    lines += _never_recorded(every, record)
    lines += left_alone_lines(every)
    lines += _recorded(every)
    lines += [f"{visible(setting)}: fits no tensor of this run" for setting in unfitting]
    lines += _unused(unused)
    return "\n".join(lines)


def update_pages(outcomes: Iterable[TestOutcome]) -> list[str]:
    """A page for each golden that changed, as far as anybody reads on; of first goldens, which say
    little, only a few."""
    written = [outcome for outcome in outcomes if outcome.written]
    first = [outcome for outcome in written if outcome.baseline is None]
    changed = [outcome for outcome in written if outcome.baseline is not None]
    pages = [update_page(outcome) for outcome in (*first[:FIRST_SHOWN], *changed[:SHOWN])]
    rests = (
        (len(first) - FIRST_SHOWN, "other first golden"),
        (len(changed) - SHOWN, "other changed golden"),
    )
    return [*pages, *(f"and {plural(rest, what)}" for rest, what in rests if rest > 0)]


def _moved(outcome: TestOutcome, color: bool) -> str:
    verdict = visible(verdict_of(outcome))
    painted = table.painted(f"{verdict:<12}", style(verdict), color)
    return f"  {painted} {visible(outcome.nodeid)}{_first(outcome)}"


def _more(count: int, file: Path | None) -> list[str]:
    if count <= 0:
        return []
    where = visible(str(file)) if file else "pytest --golden-report=report.md lists them"
    return [f"  … and {plural(count, 'more test')}: {where}"]


def _first(outcome: TestOutcome) -> str:
    tensor = first_drift(outcome)
    if tensor is None:
        return f": {first_line(outcome.reason)}" if outcome.reason else ""
    sizes = [percent(tensor.rel_l2)] if tensor.rel_l2 else []
    sizes += [f"{number(strain(tensor))}× tolerance"] if strain(tensor) else []
    size = f" ({', '.join(sizes)})" if sizes else ""
    layers = blamed(outcome)
    by = f", by {visible(family_list(layer.name for layer in layers))}" if layers else ""
    return f": first {visible(tensor.name)}{size}{by}"


def _never_recorded(every: Sequence[TestOutcome], record: str) -> list[str]:
    count = sum(o.outcome == "failed" and o.reason == NO_GOLDEN for o in every)
    if not count:
        return []
    have = "has" if count == 1 else "have"
    return [
        f"{plural(count, 'test')} {have} no golden here; to record what is missing, under the "
        "versions whose numbers you trust:",
        f"  {record}",
    ]


def _painted_counts(counts: Counter[str], color: bool) -> str:
    return table.painted(counted(counts), "", color) if counts else "none"


def _recorded(every: Sequence[TestOutcome]) -> list[str]:
    written = [o for o in every if o.written]
    return [f"{plural(len(written), 'golden')} written"] if written else []


def _unused(unused: Sequence[str]) -> list[str]:
    if not unused:
        return []
    more = [f"  and {len(unused) - 10} more"] if len(unused) > 10 else []
    return [
        f"{plural(len(unused), 'golden')} that no test of this run used:",
        *(f"  {visible(name)}" for name in unused[:10]),
        *more,
        "  keras-golden prune --unused-by LOG removes them (LOG from --golden-log)",
    ]
