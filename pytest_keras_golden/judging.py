"""A finished session against its baseline and anchor: one `TestOutcome`, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from . import decision
from .compare.vacuity import describe, vacuous
from .compare.verdict import judge, missing
from .outcomes import TensorOutcome, TestOutcome, first_drift
from .records import TensorEntry, TensorRecord, Tolerance, Verdict
from .stack import stack_changes

if TYPE_CHECKING:
    from .session import Session
    from .store.codec import Golden


def judge_test(session: Session) -> TestOutcome:
    """Verdicts of every tensor and the test's own outcome: passed or failed."""
    golden = session.goldens.baseline()
    stack = session.goldens.stack()
    if golden is None:
        return TestOutcome(
            nodeid=session.nodeid,
            outcome="failed",
            reason="no golden to compare with",
            stack=stack,
            mode=session.mode,
            observer=session.observer,
            warnings=decision.left_out(session.notes),
        )
    found = tuple(session.locals)
    changes = stack_changes(golden.header.stack, stack)
    tensors = _tensors(session, golden)
    reasons = decision.failures(tensors, found, session.settings)
    return TestOutcome(
        nodeid=session.nodeid,
        outcome="failed" if reasons else "passed",
        reason=reasons[0] if reasons else None,
        baseline=str(golden.header.stack.get("keras")),
        golden=str(golden.path),
        stack=stack,
        stack_changes=changes,
        mode=session.mode,
        observer=session.observer,
        isolation=session.isolation,
        weights=_weights(session, golden),
        first_drift=first_drift(tensors),
        local_drift=decision.local_drift(found, session.settings.systematic),
        tensors=tensors,
        locals=found,
        warnings=(
            *decision.warnings(tensors, found, session.settings, changes),
            *decision.renames(session.renamed),
            *decision.left_out(session.notes),
        ),
    )


def vacuous_tensors(session: Session) -> tuple[TensorOutcome, ...]:
    """Of what would be recorded: the tensors whose tolerance would pass nonsense."""
    found = []
    for order, record in enumerate(session.records.values()):
        reason = _vacuity(session, record)
        if reason:
            entry = session.entry(record, order)
            found.append(_outcome(entry, "vacuous", reason))
    return tuple(found)


def _tensors(session: Session, golden: Golden) -> tuple[TensorOutcome, ...]:
    tensors = [_judged(session, golden, *item) for item in enumerate(session.records.values())]
    absent = (entry for entry in golden.header.tensors if entry.name not in session.records)
    tensors += [missing(entry, candidates=tuple(session.records)) for entry in absent]
    difference = _difference(session, golden)
    tensors = list(decision.incomparable(tensors, difference))
    tensors = list(_by_depth(session, tensors))
    anchor = session.goldens.anchor()
    if anchor is None:
        return tuple(tensors)
    return tuple(_creeping(session, golden, anchor, tensor) for tensor in tensors)


def _by_depth(session: Session, tensors: Sequence[TensorOutcome]) -> tuple[TensorOutcome, ...]:
    return decision.explain_by_depth(tensors, session.locals, session.isolation, session.isolated())


def _judged(session: Session, golden: Golden, order: int, record: TensorRecord) -> TensorOutcome:
    entry = golden.header.entry(record.name)
    tolerance = session.tolerance(record)
    outcome = judge(
        record,
        order,
        entry,
        lambda: golden.array(record.name),
        tolerance,
        systematic=session.settings.systematic,
        digest=session.digest(record),
        reference=lambda: golden.reference(record.name),
        noise=None if entry is None else entry.noise,
        candidates=tuple(item.name for item in golden.header.tensors),
    )
    if entry is not None and record.judged and tolerance != entry.tolerance:
        outcome = _reconsidered(outcome, golden, entry, tolerance)
    return outcome


def _reconsidered(
    outcome: TensorOutcome, golden: Golden, entry: TensorEntry, tolerance: Tolerance
) -> TensorOutcome:
    """The tolerance is not the one the golden was recorded under: is it vacuous now?"""
    record = TensorRecord(entry.name, golden.array(entry.name), precision=entry.precision)
    reason = vacuous(record.value, tolerance, entry.precision, entry.noise)
    if reason:
        return replace(outcome, verdict="vacuous", note=reason)
    return replace(outcome, detects=describe(record, entry.order, tolerance, entry.noise).detects)


def _creeping(
    session: Session, golden: Golden, anchor: Golden, tensor: TensorOutcome
) -> TensorOutcome:
    """Many small accepted steps that add up: compare with the oldest golden as well.

    Only the step that crosses the limit fails. Where the baseline lies beyond it already, that
    golden was recorded on purpose, and the distance is only told.
    """
    entry = anchor.header.entry(tensor.name)
    if entry is None or not tensor.judged:
        return tensor
    record = session.records.get(tensor.name)
    if record is None or entry.digest == session.digest(record):
        return tensor
    if (entry.dtype, entry.shape) != (tensor.dtype, tensor.shape):
        return tensor
    tolerance = session.tolerance(record)
    limit = _scaled(tolerance, session.settings.anchor_factor)
    far = judge(record, tensor.order, entry, lambda: anchor.array(tensor.name), limit)
    extra = {"version": anchor.header.stack.get("keras"), "k": far.k, "rel_l2": far.rel_l2}
    beyond = (
        far.verdict == "drift"
        and tensor.verdict in ("identical", "within")
        and not _was_beyond(golden, anchor, record, limit)
    )
    tensor = replace(tensor, extra={**tensor.extra, "anchor": extra | {"beyond": beyond}})
    if not beyond:
        return tensor
    return replace(
        tensor,
        verdict="drift",
        note=f"creep: more than {session.settings.anchor_factor:g} tolerances away from the "
        f"anchor {extra['version']}, in steps that each passed",
    )


def _was_beyond(golden: Golden, anchor: Golden, record: TensorRecord, limit: Tolerance) -> bool:
    baseline, entry = golden.header.entry(record.name), anchor.header.entry(record.name)
    if baseline is None or entry is None or baseline.digest == entry.digest:
        return False
    accepted = replace(record, value=golden.array(record.name))
    far = judge(accepted, baseline.order, entry, lambda: anchor.array(record.name), limit)
    return far.verdict == "drift"


def _scaled(tolerance: Tolerance, factor: float) -> Tolerance:
    return Tolerance(**{name: value * factor for name, value in tolerance.to_json().items()})


def _difference(session: Session, golden: Golden) -> str | None:
    weights = decision.difference("weights", golden.header.weights, session.fingerprints("weights"))
    inputs = decision.difference("inputs", golden.header.inputs, session.fingerprints("inputs"))
    return weights or inputs


def _weights(session: Session, golden: Golden) -> str:
    running = session.fingerprints("weights")
    if not running or not golden.header.weights:
        return "unknown"
    if running != dict(golden.header.weights):
        return "differ"
    carried_over = session.transplant is not None and session.transplant.changed
    return "transplanted" if carried_over else "equal"


def _vacuity(session: Session, record: TensorRecord) -> str | None:
    if not record.judged:
        return None
    precision = record.precision or str(record.value.dtype)
    return vacuous(record.value, session.tolerance(record), precision, session.noise(record))


def _outcome(entry: TensorEntry, verdict: Verdict, note: str | None = None) -> TensorOutcome:
    return TensorOutcome(
        name=entry.name,
        order=entry.order,
        kind=entry.kind,
        dtype=entry.dtype,
        precision=entry.precision,
        shape=entry.shape,
        judged=entry.judged,
        verdict=verdict,
        source=entry.source,
        tolerance=entry.tolerance,
        detects=entry.detects,
        note=note,
    )
