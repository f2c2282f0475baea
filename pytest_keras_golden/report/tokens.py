"""What a drift means to a reader of tokens: the logits' metrics as a phrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..outcomes import TensorOutcome, TestOutcome
from .wording import number, plural


def phrase(outcome: TestOutcome) -> str:
    """`no token changes (48 of 48 agree)`; empty where no logits were compared."""
    found = [tensor for tensor in outcome.tensors if tensor.kind == "logits" and tensor.extra]
    flips = [flip for tensor in found for flip in _flips(tensor)]
    if not found:
        return ""
    rows = sum(int(tensor.extra.get("rows", 0)) for tensor in found)
    total = f" of {rows:,}" if rows else ""
    ties = sum(bool(flip.get("tie")) for flip in flips)
    if not flips:
        return "no token changes" + (f" ({rows:,}{total} agree)" if rows else "")
    real = len(flips) - ties
    verb = "changes" if real == 1 else "change"
    words = [f"{real}{total} {verb}" if real else f"no token changes beyond a tie{total}"]
    if ties:
        words.append(f"{plural(ties, 'near-tie')} at that precision")
    return f"{', '.join(words)} ({flip_text(_telling(flips))})"


def _flips(tensor: TensorOutcome) -> Sequence[Mapping[str, Any]]:
    flips = tensor.extra.get("flips", ())
    return flips if isinstance(flips, Sequence) else ()


def _telling(flips: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((flip for flip in flips if not flip.get("tie")), flips[0])


def flip_text(flip: Mapping[str, Any]) -> str:
    """`position 12: 318 → 262, margin 41 ULP`."""
    text = f"position {flip.get('position')}: {flip.get('golden')} → {flip.get('actual')}"
    margin = flip.get("margin_ulp")
    return text if margin is None else f"{text}, margin {number(float(margin))} ULP"
