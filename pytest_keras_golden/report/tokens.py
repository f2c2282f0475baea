"""What a drift means to a reader of logits: which tokens, or which predictions, change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..compare.speech import Speech, common, speech
from ..outcomes import TensorOutcome, TestOutcome
from .wording import number, plural


def metrics(tensor: TensorOutcome) -> Mapping[str, Any]:
    """What was measured on a tensor of logits; empty where it is none, or nothing was."""
    return tensor.extra if "flips_real" in tensor.extra else {}


def phrase(outcome: TestOutcome) -> str:
    """`no token changes (48 of 48 agree)`; empty where no logits were compared."""
    measured = [tensor for tensor in outcome.tensors if metrics(tensor)]
    if not measured:
        return ""
    words, found = words_of(outcome), [metrics(tensor) for tensor in measured]
    rows = sum(int(item.get("rows", 0)) for item in found)
    real = sum(int(item.get("flips_real", 0)) for item in found)
    ties = sum(int(item.get("flips_tie", 0)) for item in found)
    if real + ties == 0:
        return f"no {words.answer} changes ({rows:,} of {rows:,} agree)"
    verb = "changes" if real == 1 else "change"
    none = f"no {words.answer} of {rows:,} changes beyond a tie"
    told = f"{real:,} of {rows:,} {verb}" if real else none
    tied = f", {plural(ties, 'near-tie')} at that precision" if ties else ""
    return f"{told}{tied}{_example(measured)}"


def words_of(outcome: TestOutcome) -> Speech:
    """The words for all logits of a test."""
    return common(speech(t.name, t.shape) for t in outcome.tensors if metrics(t))


def flipped(outcome: TestOutcome) -> str:
    """`tokens change` where any does beyond a tie; else empty."""
    real = any(int(metrics(tensor).get("flips_real", 0)) for tensor in outcome.tensors)
    return f"{words_of(outcome).answers} change" if real else ""


def _example(measured: list[TensorOutcome]) -> str:
    """The flip with the largest margin of the first tensor that has a real one: what its row, and
    `compare.verdict`, tell as well."""
    every = [(t, flip) for t in measured for flip in metrics(t).get("flips", ())[:1]]
    real = (pair for pair in every if not pair[1].get("tie"))
    telling = next(real, every[0] if every else None)
    if telling is None:
        return ""
    tensor, flip = telling
    return f" ({flip_text(flip, speech(tensor.name, tensor.shape))})"


def flip_text(flip: Mapping[str, Any], words: Speech) -> str:
    """`position 12: 318 → 262, margin 41 ULP`, or `row 3: class 5 → 7, margin 41 ULP`."""
    answers = f"{words.value}{flip.get('golden')} → {flip.get('actual')}"
    text = f"{words.place} {flip.get('position')}: {answers}"
    margin = flip.get("margin_ulp")
    return text if margin is None else f"{text}, margin {number(float(margin))} ULP"
