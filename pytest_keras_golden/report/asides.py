"""What a run did not look at, counted and named, so that nobody takes it for looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..outcomes import LEFT_OUT, UPDATES, TestOutcome
from .escape import visible
from .summary import compared, verdict_of
from .wording import plural

TRAINING = frozenset({"fit", "evaluate", "losses", "metrics", "optimizers", UPDATES})
"""Kinds of calls that are the training or evaluating of a model, or a part of it."""

NAMED = 3


def asides(outcomes: Sequence[TestOutcome]) -> list[str]:
    """`12 other tests called no Keras model` and the like, each a line; empty where all was
    compared."""
    besides = [outcome for outcome in compared(outcomes) if outcome.unseen]
    said = [
        _without_calls(outcomes),
        only_unseen(unseen(outcomes)),
        _besides(besides),
        _unwatched(outcomes),
    ]
    return [text for text in said if text]


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
    lines = [f"{visible(o.nodeid)}: {', '.join(map(visible, o.unseen))}" for o in outcomes[:limit]]
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
    plain = [o for o in outcomes if verdict_of(o) == "passed" and not _left_alone(o)]
    rest = sum(not outcome.unseen for outcome in plain)
    other = "other " if rest < len(outcomes) else ""
    return f"{plural(rest, f'{other}test')} called no Keras model" if rest else ""


def _left_alone(outcome: TestOutcome) -> bool:
    """Whether a call of it could not be captured, which is said elsewhere."""
    return any(warning.startswith(LEFT_OUT) for warning in outcome.warnings)


def _besides(outcomes: Sequence[TestOutcome]) -> str:
    if not outcomes:
        return ""
    those = plural(len(outcomes), "compared test")
    return f"{those} also made calls that are not looked at ({kinds(outcomes)})"
