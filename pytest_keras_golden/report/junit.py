"""A golden test's result as properties of its JUnit test case."""

from __future__ import annotations

from ..outcomes import TestOutcome
from .summary import blamed, strain, verdict_of
from .wording import families, number


def properties(outcome: TestOutcome) -> list[tuple[str, str]]:
    """Pairs of strings for pytest's `user_properties`; absent facts are left out.

    `golden.strain` is the largest k over its tolerance: above 1 a tensor is beyond it.
    """
    judged = [tensor for tensor in outcome.tensors if tensor.judged]
    facts = {
        "golden.verdict": verdict_of(outcome),
        "golden.baseline": outcome.baseline,
        "golden.keras": outcome.stack.get("keras"),
        "golden.tensors": str(len(judged)),
        "golden.strain": number(max(map(strain, judged), default=None)),
        "golden.first_drift": outcome.first_drift,
        "golden.local_drift": ", ".join(families(layer.name for layer in blamed(outcome))) or None,
    }
    return [(key, str(value)) for key, value in facts.items() if value is not None]
