"""In which words a change of logits is told: tokens at positions, or the predictions of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speech:
    """answer, answers: what a row of logits decides. place: where the row is. value: what precedes
    the number of an answer."""

    answer: str
    answers: str
    place: str
    value: str = ""


TOKENS = Speech("token", "tokens", "position")
PREDICTIONS = Speech("prediction", "predictions", "row", "class ")


def speech(name: str, shape: tuple[int, ...]) -> Speech:
    """Language models say logits (batch, position, vocabulary), and (batch, vocabulary) in a step
    of decoding; what else has logits is a classifier of rows."""
    decodes = re.search(r"(^|/)step_\d+/logits$", name) is not None
    return TOKENS if decodes or len(shape) == 3 else PREDICTIONS


def common(speeches: Iterable[Speech]) -> Speech:
    """The words for several tensors together."""
    kinds = set(speeches)
    return kinds.pop() if len(kinds) == 1 else PREDICTIONS


def place_of(shapes: Iterable[tuple[int, ...]]) -> str:
    """What the second last axis of tensors counts: without a third one, the rows of a batch."""
    return "position" if any(len(shape) > 2 for shape in shapes) else "row"
