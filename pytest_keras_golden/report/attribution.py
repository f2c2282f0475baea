"""What else changed beside Keras, before Keras is blamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..outcomes import TestOutcome
from ..stack import HARDWARE_KEYS
from .summary import verdict_of
from .wording import setting


def attribution(outcome: TestOutcome) -> str:
    """What else changed beside Keras, so that a reader does not blame Keras alone."""
    other = {key: pair for key, pair in outcome.stack_changes.items() if key != "keras"}
    changed = ", ".join(
        f"{key} {setting(old)} → {setting(new)}" for key, (old, new) in other.items()
    )
    if hardware_changes(outcome):
        return f"Hardware differs ({changed}): not attributable to Keras."
    if other and "keras" in outcome.stack_changes:
        return f"Not only Keras changed: {changed}."
    if other:
        return f"Keras is the same; what changed is {changed}."
    return ""


def same_stack(outcome: TestOutcome) -> str:
    """That no part of the stack changed, so that nobody looks there; empty where one did, or where
    there is no golden to tell."""
    if outcome.baseline is None or outcome.stack_changes:
        return ""
    itself = " It may differ from itself, by time, threads or numbers without a seed."
    cause = "Same stack: the cause is in this code, its weights or its data."
    return cause + (itself if may_differ_from_itself(outcome) else "")


def may_differ_from_itself(outcome: TestOutcome) -> bool:
    """Whether nothing but numbers moved, on one stack."""
    same = outcome.baseline is not None and not outcome.stack_changes
    return same and verdict_of(outcome) in {"drift", "systematic", "accumulated", "nonfinite"}


def hardware_changes(outcome: TestOutcome) -> Mapping[str, Any]:
    """The part of the stack's differences that is the machine, not software."""
    return {key: pair for key, pair in outcome.stack_changes.items() if key in HARDWARE_KEYS}


def stack_lines(outcome: TestOutcome) -> list[str]:
    """`keras 3.5.0 → 3.6.0` for every part of the stack that differs from the baseline's."""
    return [
        f"{key} {setting(old)} → {setting(new)}"
        for key, (old, new) in sorted(outcome.stack_changes.items())
    ]
