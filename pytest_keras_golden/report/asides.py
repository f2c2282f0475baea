"""What a run did not look at, counted and named, so that nobody takes it for looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..outcomes import LEFT_OUT, UPDATES, TestOutcome
from .escape import one_line, visible
from .summary import compared, verdict_of
from .wording import plural

TRAINING = frozenset({"fit", "evaluate", "losses", "metrics", "optimizers", UPDATES})
"""Kinds of calls that are the training or evaluating of a model, or a part of it."""

UNCAPTURED = "calls that could not be captured"
"""The kind of what automatic capture left alone."""

NAMED = 3

LISTED = 40
"""Reasons why calls were left alone that are told one by one."""


def asides(outcomes: Sequence[TestOutcome]) -> list[str]:
    """`12 other tests called no Keras model` and the like, each a line; empty where all was
    compared."""
    said = [
        _without_calls(outcomes),
        only_unseen(unseen(outcomes)),
        besides(compared(outcomes)),
        _unwatched(outcomes),
    ]
    return [text for text in said if text]


def left_alone(outcome: TestOutcome) -> tuple[str, ...]:
    """Why automatic capture could not take calls of a test, one reason each."""
    told = (text for text in outcome.warnings if text.startswith(LEFT_OUT))
    return tuple(one_line(text[len(LEFT_OUT) :]) for text in told)


def with_left_alone(outcome: TestOutcome) -> TestOutcome:
    """The outcome with such calls among what was not looked at, for pages that do not list them
    apart."""
    if UNCAPTURED in outcome.unseen or not left_alone(outcome):
        return outcome
    return replace(outcome, unseen=(*outcome.unseen, UNCAPTURED))


def told(outcome: TestOutcome) -> str:
    """What of a test was not looked at: its kinds; of calls that were left alone, the reasons."""
    kinds = [kind for kind in outcome.unseen if kind != UNCAPTURED]
    reasons = left_alone(outcome) if UNCAPTURED in outcome.unseen else ()
    return ", ".join([*kinds, *(f"{LEFT_OUT}{reason}" for reason in reasons)])


def left_alone_lines(outcomes: Iterable[TestOutcome]) -> list[str]:
    """Calls that share a reason are one line."""
    by_reason: dict[str, list[str]] = {}
    for outcome in outcomes:
        for reason in left_alone(outcome):
            by_reason.setdefault(reason, []).append(outcome.nodeid)
    if not by_reason:
        return []
    often = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    lines = [_left_for(reason, nodeids) for reason, nodeids in often[:LISTED]]
    count, rest = sum(map(len, by_reason.values())), sum(len(ids) for _, ids in often[LISTED:])
    more = [f"  and {plural(rest, 'more call')}, for other reasons"] if rest else []
    return [f"{plural(count, 'call')} that automatic capture left alone:", *lines, *more]


def _left_for(reason: str, nodeids: Sequence[str]) -> str:
    first = visible(nodeids[0])
    if len(nodeids) == 1:
        return f"  {first}: {reason}"
    return f"  {plural(len(nodeids), 'call')}, the first in {first}: {reason}"


def unseen(outcomes: Iterable[TestOutcome]) -> list[TestOutcome]:
    """The tests that use Keras only in ways that are not looked at."""
    return [o for o in outcomes if o.unseen and verdict_of(o) == "passed"]


def only_unseen(outcomes: Sequence[TestOutcome]) -> str:
    """`4 tests train or evaluate only: not looked at (fit 3, evaluate 1)`; empty for no test."""
    if not outcomes:
        return ""
    training = all(set(outcome.unseen) <= TRAINING for outcome in outcomes)
    one, many = _TRAIN if training else _OTHERWISE
    what = f"{plural(len(outcomes), 'test')} {one if len(outcomes) == 1 else many}"
    return f"{what} only: not looked at ({kinds(outcomes)})"


_TRAIN = ("trains or evaluates", "train or evaluate")
_OTHERWISE = ("uses Keras in other ways", "use Keras in other ways")


def kinds(outcomes: Iterable[TestOutcome]) -> str:
    """`fit 3, evaluate 1`: in how many tests each kind of call went unseen."""
    counts = Counter(kind for outcome in outcomes for kind in dict.fromkeys(outcome.unseen))
    return ", ".join(f"{visible(kind)} {count:,}" for kind, count in counts.most_common())


def named(outcomes: Sequence[TestOutcome], limit: int = NAMED) -> list[str]:
    """`test_a.py::test_x: fit, evaluate` for the first of them, and how many more there are."""
    lines = [f"{visible(o.nodeid)}: {visible(told(o))}" for o in outcomes[:limit]]
    rest = len(outcomes) - limit
    return [*lines, f"and {rest:,} more"] if rest > 0 else lines


def _unwatched(outcomes: Iterable[TestOutcome]) -> str:
    count = sum(outcome.unwatched for outcome in compared(outcomes))
    if not count:
        return ""
    was = "was" if count == 1 else "were"
    return (
        f"{plural(count, 'tensor')} inside compiled steps {was} not computed again: each of these "
        "steps is the recorded program, with the recorded inputs and results"
    )


def _without_calls(outcomes: Sequence[TestOutcome]) -> str:
    plain = [o for o in outcomes if verdict_of(o) == "passed" and not left_alone(o)]
    rest = sum(not outcome.unseen for outcome in plain)
    other = "other " if rest < len(outcomes) else ""
    return f"{plural(rest, f'{other}test')} called no Keras model" if rest else ""


def besides(outcomes: Iterable[TestOutcome]) -> str:
    """Of tests that were compared: `3 compared tests also made calls that are not looked at …`."""
    these = [outcome for outcome in outcomes if outcome.unseen]
    those = plural(len(these), "compared test")
    return f"{those} also made calls that are not looked at ({kinds(these)})" if these else ""
