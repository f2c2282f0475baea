"""From verdicts to a decision: what depth explains, what fails, what is only told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..compare.depth import FACTOR, Shift
from ..compare.training import StepEvidence, inherited
from ..config import Settings
from ..outcomes import FAILING, LEFT_OUT, LocalOutcome, TensorOutcome, is_blamed
from ..stack import HARDWARE_KEYS

if TYPE_CHECKING:
    from ..capture.examine import Examined


def local_drift(
    layers: Iterable[LocalOutcome], systematic: str = "fail", precision: str = "pass"
) -> tuple[str, ...]:
    """Names, in execution order, of the layers whose own change is more than rounding."""
    return tuple(entry.name for entry in layers if is_blamed(entry, systematic, precision))


def incomparable(
    tensors: Sequence[TensorOutcome], reason: Callable[[TensorOutcome], str | None]
) -> tuple[TensorOutcome, ...]:
    """Where weights, random draws or inputs differ, numbers that moved say nothing about Keras.

    reason: what differs in the call that a tensor comes from.
    """
    return tuple(_incomparable(tensor, reason) for tensor in tensors)


def _incomparable(
    tensor: TensorOutcome, reason: Callable[[TensorOutcome], str | None]
) -> TensorOutcome:
    if not tensor.judged or tensor.verdict not in _NUMBERS:
        return tensor
    why = reason(tensor)
    return tensor if why is None else replace(tensor, verdict="incomparable", note=why)


_NUMBERS = frozenset({"within", "drift", "systematic", "nonfinite"})
"""Verdicts about numbers that moved."""


def explain_by_depth(
    tensors: Sequence[TensorOutcome], reach: Callable[[TensorOutcome], Shift | None]
) -> tuple[TensorOutcome, ...]:
    """`drift` becomes `accumulated` where the layers' own rounding, carried on, goes as far.

    reach: how far it goes, None where nothing speaks for the tensor. A real token flip stays drift:
    depth is no excuse for another answer.
    """
    return tuple(_explained(tensor, reach) for tensor in tensors)


def _explained(
    tensor: TensorOutcome, reach: Callable[[TensorOutcome], Shift | None]
) -> TensorOutcome:
    if tensor.verdict not in ("drift", "systematic"):
        return tensor
    limit = reach(tensor)
    if limit is None:
        return tensor
    depth = {"k": limit.k, "rel_l2": limit.rel_l2, "factor": FACTOR}
    tensor = replace(tensor, extra={**tensor.extra, "depth": depth})
    bound = (
        f"alone every layer changed by rounding only, which carried through the model reaches "
        f"k {limit.k:.3g} and relative L2 {limit.rel_l2:.2g}"
    )
    if not Shift(tensor.k or 0.0, tensor.rel_l2 or 0.0).within(limit):
        return replace(tensor, note=_joined(tensor.note, f"{bound}: depth did not do this"))
    if tensor.extra.get("flips_real"):
        return tensor
    said = f"{bound}; up to {FACTOR:g} times that is depth"
    return replace(tensor, verdict="accumulated", note=said)


def explain_by_training(
    tensors: Sequence[TensorOutcome], components: Iterable[LocalOutcome], evidence: StepEvidence
) -> tuple[TensorOutcome, ...]:
    """`drift` becomes `accumulated` where rounding in earlier parts of a training explains it.
    components: layers and components of steps that were run by themselves."""
    names = inherited(tensors, components, evidence)
    said = "what it was computed from moved by rounding, and as a whole it moved by no more"
    return tuple(
        replace(tensor, verdict="accumulated", note=_joined(tensor.note, said))
        if tensor.name in names
        else tensor
        for tensor in tensors
    )


def unmeasured(examined: Iterable[Examined]) -> Iterator[str]:
    """Names the components of training steps that moved of which only what they made there was
    compared."""
    names = sorted({name for one in examined for name in one.unmeasured})
    if names:
        yield (
            f"not run by itself: {', '.join(names)}; of a step that moved, only what was made of "
            "its own numbers is compared"
        )


def _joined(*notes: str | None) -> str:
    return "; ".join(note for note in notes if note)


def failures(
    tensors: Iterable[TensorOutcome], layers: Iterable[LocalOutcome], settings: Settings
) -> list[str]:
    """One sentence per reason to fail; empty where the test passes."""
    failing = set(FAILING)
    if settings.systematic == "fail":
        failing.add("systematic")
    if settings.accumulated == "fail":
        failing.add("accumulated")
    reasons = [
        _failure(tensor) for tensor in tensors if tensor.judged and tensor.verdict in failing
    ]
    # Told and not failed on: `warn`.
    systematic = "fail" if settings.systematic == "fail" else "off"
    reasons += [
        f"{entry.name}: local {entry.cause or entry.verdict}"
        for entry in layers
        if is_blamed(entry, systematic, settings.precision)
    ]
    return reasons


def _failure(tensor: TensorOutcome) -> str:
    if tensor.verdict == "loading":
        return " ".join(
            filter(None, ("loads other weights or settings:", tensor.name, tensor.note))
        )
    return f"{tensor.name}: {tensor.verdict}"


def warnings(
    tensors: Iterable[TensorOutcome],
    layers: Iterable[LocalOutcome],
    settings: Settings,
    changes: Mapping[str, Any],
) -> tuple[str, ...]:
    """What a passing or failing test should still say."""
    said = []
    names = [tensor.name for tensor in tensors if tensor.verdict == "accumulated"]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        said.append(f"accumulated: {names[0]}{more}, by depth alone")
    if settings.systematic == "warn":
        moved: tuple[TensorOutcome | LocalOutcome, ...] = (*tensors, *layers)
        said += [f"systematic: {entry.name}" for entry in moved if entry.verdict == "systematic"]
    better = [entry.name for entry in layers if entry.cause == "precision" and not is_blamed(entry)]
    if better:
        more = f" and {len(better) - 1} more" if len(better) > 1 else ""
        said.append(f"precision: {better[0]}{more} changed, no less accurate")
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
