"""What a drift means to a reader of tokens: the logits' metrics as a phrase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..outcomes import TensorOutcome, TestOutcome
from .wording import number, plural


def metrics(tensor: TensorOutcome) -> Mapping[str, Any]:
    """What was measured on a tensor of logits; empty where it is none, or nothing was."""
    return tensor.extra if "flips_real" in tensor.extra else {}


def phrase(outcome: TestOutcome) -> str:
    """`no token changes (48 of 48 agree)`; empty where no logits were compared."""
    found = [metrics(tensor) for tensor in outcome.tensors if metrics(tensor)]
    if not found:
        return ""
    rows = sum(int(item.get("rows", 0)) for item in found)
    real = sum(int(item.get("flips_real", 0)) for item in found)
    ties = sum(int(item.get("flips_tie", 0)) for item in found)
    if real + ties == 0:
        return f"no token changes ({rows:,} of {rows:,} agree)"
    verb = "changes" if real == 1 else "change"
    words = f"{real:,} of {rows:,} {verb}" if real else f"no token of {rows:,} changes beyond a tie"
    tied = f", {plural(ties, 'near-tie')} at that precision" if ties else ""
    return f"{words}{tied}{_example(found)}"


def _example(found: list[Mapping[str, Any]]) -> str:
    flips = [flip for item in found for flip in item.get("flips", ())]
    telling = next((flip for flip in flips if not flip.get("tie")), flips[0] if flips else None)
    return f" ({flip_text(telling)})" if telling else ""


def flip_text(flip: Mapping[str, Any]) -> str:
    """`position 12: 318 → 262, margin 41 ULP`."""
    text = f"position {flip.get('position')}: {flip.get('golden')} → {flip.get('actual')}"
    margin = flip.get("margin_ulp")
    return text if margin is None else f"{text}, margin {number(float(margin))} ULP"
