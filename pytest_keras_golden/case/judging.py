"""A finished case against its baseline and anchor: one `TestOutcome`, nothing written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..compare.renaming import Seen, names
from ..compare.training import StepEvidence, part_of
from ..compare.vacuity import vacuous
from ..compare.verdict import judge, missing, outcome_of
from ..outcomes import NO_GOLDEN, Names, TensorOutcome, TestOutcome, first_drift
from ..records import TensorEntry, TensorRecord, Tolerance
from ..stack import stack_changes
from . import rules
from .against import CaseGolden, OutermostCalls, recorded
from .recording import describe, noise
from .recording import entry as entry_of

if TYPE_CHECKING:
    from ..store.codec import Golden
    from .collected import Case


def judge_test(case: Case) -> TestOutcome:
    """Verdicts of every tensor and the test's own outcome: passed or failed."""
    golden = case.goldens.baseline()
    stack = case.goldens.stack()
    if golden is None:
        faults = loading_tensors(case)
        return TestOutcome(
            nodeid=case.nodeid,
            outcome="failed",
            reason=rules.failures(faults, (), case.settings)[0] if faults else NO_GOLDEN,
            stack=stack,
            mode=case.mode,
            observer=case.observer,
            tensors=faults,
            warnings=(*case.remarks, *rules.left_out(case.notes)),
        )
    layers = tuple(case.locals)
    changes = stack_changes(golden.header.stack, stack)
    tensors = (*loading_tensors(case), *_tensors(case, golden))
    reasons = rules.failures(tensors, layers, case.settings)
    return TestOutcome(
        nodeid=case.nodeid,
        outcome="failed" if reasons else "passed",
        reason=reasons[0] if reasons else None,
        baseline=str(golden.header.stack.get("keras")),
        golden=str(golden.path),
        stack=stack,
        stack_changes=changes,
        mode=case.mode,
        observer=case.observer,
        isolation=_isolation(case),
        weights=_weights(case, golden),
        carried=tuple(sorted(case.carried)),
        names=_names(case, golden, tensors),
        unseen=case.kinds_unseen,
        unwatched=case.unwatched,
        first_drift=first_drift(tensors),
        local_drift=rules.local_drift(layers, case.settings.systematic, case.settings.precision),
        tensors=tensors,
        locals=layers,
        warnings=(
            *rules.warnings(tensors, layers, case.settings, changes),
            *rules.renames(case.renamed),
            *case.remarks,
            *rules.unmeasured(case.examined.values()),
            *rules.left_out(case.notes),
        ),
    )


def is_chosen(case: Case, name: str) -> bool:
    """Whether the test chose this tensor and its tolerance. Who only switched `golden_auto` on
    chose neither, and nobody chooses the parts of a training step: of a statistic that hardly
    moves, rounding is most."""
    return case.asked_for and part_of(name) is None


def vacuous_tensors(case: Case) -> tuple[TensorOutcome, ...]:
    """Of what would be recorded: the tensors whose tolerance would pass nonsense."""
    refused = []
    for order, record in enumerate(case.records.values()):
        reason = _vacuity(case, record)
        if reason:
            entry = entry_of(case, record, order)
            refused.append(outcome_of(entry, "vacuous", reason))
    return tuple(refused)


def loading_tensors(case: Case) -> tuple[TensorOutcome, ...]:
    """What models hold otherwise than the files they were loaded from."""
    return tuple(
        TensorOutcome(
            name=fault.name,
            order=0,
            kind="tensor",
            dtype=fault.dtype,
            precision=fault.dtype,
            shape=fault.shape,
            judged=True,
            verdict="loading",
            note=f"{fault.kind}: {fault.said}" if fault.kind not in fault.said else fault.said,
        )
        for fault in case.loading
    )


def _tensors(case: Case, golden: Golden) -> tuple[TensorOutcome, ...]:
    tensors = [_judged(case, golden, *item) for item in enumerate(case.records.values())]
    absent = (entry for entry in golden.header.tensors if entry.name not in case.records)
    recorded = {entry.name for entry in golden.header.tensors}
    # What became of the names of layers is told from numbers (see `_names`), not from spelling.
    checked = [r.name for r in case.records.values() if not r.call and r.name not in recorded]
    tensors += [missing(entry, candidates=checked) for entry in absent]
    calls = OutermostCalls(case, golden)
    tensors = list(rules.incomparable(tensors, calls.reason))
    tensors = list(rules.explain_by_depth(tensors, calls.reach))
    sent = max((examined.sent for examined in case.examined.values()), default=0.0)
    evidence = StepEvidence(golden, case.records, sent)
    tensors = list(rules.explain_by_training(tensors, case.locals, evidence))
    anchor = case.goldens.anchor()
    if anchor is None:
        return tuple(tensors)
    return tuple(_creeping(case, golden, anchor, tensor) for tensor in tensors)


def _isolation(case: Case) -> str:
    """In one word for the test: complete only where every call that moved was isolated."""
    reasons = [examined.isolation for examined in case.examined.values()]
    reasons += [
        "unavailable: not asked for"
        for block in case.blocks
        if not block.isolates and CaseGolden(case).moved(block.records)
    ]
    wanted = [isolation for isolation in reasons if isolation != "not needed"]
    if not wanted:
        return "not needed"
    return next((isolation for isolation in wanted if isolation != "complete"), "complete")


def _judged(case: Case, golden: Golden, order: int, record: TensorRecord) -> TensorOutcome:
    entry = golden.header.entry(record.name)
    record, tolerance = case.against(record, entry)
    outcome = judge(
        record,
        order,
        entry,
        lambda: golden.array(record.name),
        tolerance,
        systematic=case.settings.systematic,
        digest=case.digest(record),
        reference=lambda: golden.reference(record.name),
        sums=lambda: golden.sums(record.name),
        noise=None if entry is None else entry.noise,
        candidates=() if record.call else _gone(case, golden),
        any_precision=case.settings.across_policies,
        any_width=case.settings.across_backends,
    )
    if entry is not None and record.judged and _is_another(tolerance, entry, record):
        outcome = _reconsidered(case, outcome, golden, entry, tolerance)
    return outcome


def _is_another(tolerance: Tolerance, entry: TensorEntry, record: TensorRecord) -> bool:
    """Whether it is not the one that the golden was recorded under."""
    if tolerance.k is None or entry.tolerance is None or not record.slack:
        return tolerance != entry.tolerance
    return tolerance.k > (entry.tolerance.k or 0.0)


def _gone(case: Case, golden: Golden) -> list[str]:
    return [item.name for item in golden.header.tensors if item.name not in case.records]


def _reconsidered(
    case: Case, outcome: TensorOutcome, golden: Golden, entry: TensorEntry, tolerance: Tolerance
) -> TensorOutcome:
    """The tolerance is not the one the golden was recorded under: is it vacuous now? A tensor that
    nobody chose is then told, and judged no more."""
    record = TensorRecord(entry.name, golden.array(entry.name), precision=entry.precision)
    reason = vacuous(record.value, tolerance, entry.precision, entry.noise)
    if reason and is_chosen(case, entry.name):
        return replace(outcome, verdict="vacuous", note=reason)
    if reason:
        passes = outcome.verdict in ("identical", "within")
        return replace(outcome, judged=False, note=reason) if passes else outcome
    return replace(outcome, detects=describe(record, entry.order, tolerance, entry.noise).detects)


def _creeping(case: Case, golden: Golden, anchor: Golden, tensor: TensorOutcome) -> TensorOutcome:
    """Many small accepted steps that add up: compare with the oldest golden as well.

    Only the step that crosses the limit fails. Where the baseline lies beyond it already, that
    golden was recorded on purpose, and the distance is only told.
    """
    entry = anchor.header.entry(tensor.name)
    if entry is None or not tensor.judged:
        return tensor
    record = case.records.get(tensor.name)
    if record is None or entry.digest == case.digest(record):
        return tensor
    if (entry.dtype, entry.shape) != (tensor.dtype, tensor.shape):
        return tensor
    tolerance = case.tolerance(record)
    limit = _scaled(tolerance, case.settings.anchor_factor)
    far = _from(anchor, record, entry, limit)
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
        note=f"creep: more than {case.settings.anchor_factor:g} tolerances away from the "
        f"anchor {extra['version']}, in steps that each passed",
    )


def _was_beyond(golden: Golden, anchor: Golden, record: TensorRecord, limit: Tolerance) -> bool:
    baseline, entry = golden.header.entry(record.name), anchor.header.entry(record.name)
    if baseline is None or entry is None or baseline.digest == entry.digest:
        return False
    accepted = replace(record, value=golden.array(record.name), digest=baseline.digest)
    accepted = replace(accepted, sample=baseline.sample, sums=golden.sums(record.name))
    return _from(anchor, accepted, entry, limit).verdict == "drift"


def _from(
    anchor: Golden, record: TensorRecord, entry: TensorEntry, limit: Tolerance
) -> TensorOutcome:
    """How far a tensor is from the anchor's."""
    name = record.name
    held, sums = partial(anchor.array, name), partial(anchor.sums, name)
    return judge(record, entry.order, entry, held, limit, sums=sums)


def _scaled(tolerance: Tolerance, factor: float) -> Tolerance:
    return Tolerance(**{name: value * factor for name, value in tolerance.to_json().items()})


def _weights(case: Case, golden: Golden) -> str:
    running = recorded(case, case, golden.header).weights
    if not running or not golden.header.weights:
        return "unknown"
    if running != dict(golden.header.weights):
        return "differ"
    return "transplanted" if case.carried else "equal"


def _names(case: Case, golden: Golden, tensors: Iterable[TensorOutcome]) -> Names | None:
    """Looked into where a name may be the reason that there is nothing to compare."""
    if not any(tensor.verdict in ("structure", "incomparable") for tensor in tensors):
        return None
    checked = {record.name for record in case.records.values() if not record.call}
    before = [
        Seen(entry.name, entry.dtype, entry.shape, entry.digest)
        for entry in golden.header.tensors
        if entry.name not in checked
    ]
    now = [
        Seen(record.name, str(record.value.dtype), record.shape, case.digest(record))
        for record in case.records.values()
        if record.call
    ]
    return names((golden.header.weights, before), (case.weights, now))


def _vacuity(case: Case, record: TensorRecord) -> str | None:
    if not record.judged:
        return None
    return vacuous(record.value, case.tolerance(record), record.arithmetic, noise(case, record))
