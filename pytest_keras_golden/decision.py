"""From verdicts to a decision: what depth explains, what fails, what is only told."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .config import Settings
from .outcomes import FAILING, LEFT_OUT, LocalOutcome, TensorOutcome
from .stack import HARDWARE_KEYS

LOCAL_DRIFT = frozenset({"drift", "systematic", "structure", "nonfinite"})


def local_drift(found: Iterable[LocalOutcome], systematic: str = "fail") -> tuple[str, ...]:
    """Names, in execution order, of the layers whose own change is more than rounding."""
    blamed = LOCAL_DRIFT - ({"systematic"} if systematic == "off" else set())
    return tuple(entry.name for entry in found if entry.verdict in blamed)


def incomparable(
    tensors: Sequence[TensorOutcome], difference: str | None
) -> tuple[TensorOutcome, ...]:
    """Where weights or inputs differ, numbers that moved say nothing about Keras."""
    if difference is None:
        return tuple(tensors)
    return tuple(
        replace(tensor, verdict="incomparable", note=difference)
        if tensor.judged and tensor.verdict in ("within", "drift", "systematic", "nonfinite")
        else tensor
        for tensor in tensors
    )


def explain_by_depth(
    tensors: Sequence[TensorOutcome],
    found: Sequence[LocalOutcome],
    isolation: str,
    isolated: Container[str],
) -> tuple[TensorOutcome, ...]:
    """`drift` becomes `accumulated` where isolation was complete and found rounding only.

    A real token flip stays drift: depth is no excuse for another answer. So does a tensor that
    isolation does not speak for.
    """
    if isolation != "complete" or not found or local_drift(found):
        return tuple(tensors)
    return tuple(_explained(item) if item.name in isolated else item for item in tensors)


def _explained(tensor: TensorOutcome) -> TensorOutcome:
    if tensor.verdict not in ("drift", "systematic") or tensor.extra.get("flips_real"):
        return tensor
    said = "every layer alone changed by rounding only: depth did it"
    return replace(tensor, verdict="accumulated", note=said)


def failures(
    tensors: Iterable[TensorOutcome], found: Iterable[LocalOutcome], settings: Settings
) -> list[str]:
    """One sentence per reason to fail; empty where the test passes."""
    failing = set(FAILING)
    if settings.systematic == "fail":
        failing.add("systematic")
    if settings.accumulated == "fail":
        failing.add("accumulated")
    reasons = [
        f"{tensor.name}: {tensor.verdict}"
        for tensor in tensors
        if tensor.judged and tensor.verdict in failing
    ]
    local_failing = LOCAL_DRIFT if settings.systematic == "fail" else LOCAL_DRIFT - {"systematic"}
    reasons += [
        f"{entry.name}: local {entry.verdict}" for entry in found if entry.verdict in local_failing
    ]
    return reasons


def warnings(
    tensors: Iterable[TensorOutcome],
    found: Iterable[LocalOutcome],
    settings: Settings,
    changes: Mapping[str, Any],
) -> tuple[str, ...]:
    """What a passing or failing test should still say."""
    said = []
    names = [tensor.name for tensor in tensors if tensor.verdict == "accumulated"]
    if names:
        said.append(f"accumulated: {names[0]} and {len(names) - 1} more, by depth alone")
    if settings.systematic == "warn":
        moved: tuple[TensorOutcome | LocalOutcome, ...] = (*tensors, *found)
        said += [f"systematic: {entry.name}" for entry in moved if entry.verdict == "systematic"]
    hardware = [key for key in HARDWARE_KEYS if key in changes]
    if hardware:
        said.append(f"hardware differs ({', '.join(hardware)}): not attributable to Keras")
    return tuple(said)


def left_out(notes: Iterable[str]) -> tuple[str, ...]:
    """What automatic capture could not take of a test that never asked for it, each once."""
    return tuple(f"{LEFT_OUT}{note}" for note in dict.fromkeys(notes))


def renames(renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Which names aliases resolved: a golden of another layer would be compared as quietly."""
    if not renamed:
        return ()
    old, new = next(iter(renamed.items()))
    more = f" and {len(renamed) - 1} more" if len(renamed) > 1 else ""
    return (f"aliases: {old} is compared as {new}{more}",)


def difference(kind: str, golden: Mapping[str, str], running: Mapping[str, str]) -> str | None:
    """The first weight or input whose digest differs, said in a sentence; None where all agree."""
    if not golden or not running:
        return None
    for name in [*golden, *(name for name in running if name not in golden)]:
        if name not in running:
            return f"{kind} differ: {name} is in the golden, not in this run"
        if name not in golden:
            return f"{kind} differ: {name} is new in this run"
        if golden[name] != running[name]:
            return f"{kind} differ, first at {name}"
    return None
