"""A finished case against its baseline and anchor: one `TestOutcome`, nothing written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..compare.calls import Difference, difference, differing, trains
from ..compare.depth import Shift, furthest
from ..compare.renaming import Seen, names
from ..compare.training import StepEvidence, part_of
from ..compare.vacuity import vacuous
from ..compare.verdict import judge, missing, outcome_of
from ..outcomes import NO_GOLDEN, Names, TensorOutcome, TestOutcome, first_drift
from ..records import TensorEntry, TensorRecord, Tolerance
from ..stack import stack_changes
from . import rules
from .against import CaseGolden
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
    calls = _Calls(case, golden)
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


class _Calls:
    """The outermost calls of a test beside the golden's: what differs, and what depth can do."""

    def __init__(self, case: Case, golden: Golden) -> None:
        self._case = case
        self._golden = golden.header
        self._made = {record.name: record.call for record in case.records.values()}
        self._order = [call.name for call in case.outermost]
        self._recorded = {call.name for call in golden.header.outermost}
        self._known: dict[str, Difference | None] = {}

    def difference(self, call: str) -> Difference | None:
        if call not in self._known:
            settings = self._case.settings
            apart = settings.across_backends, settings.shared_draws
            self._known[call] = difference(self._golden, self._case, call, *apart)
        return self._known[call]

    def reason(self, tensor: TensorOutcome) -> str | None:
        """Why the tensor is not comparable; of one that the test made itself, any reason."""
        call = self._made.get(tensor.name, "")
        if call in self._recorded and call in self._order:
            differs = self.difference(call)
            if tensor.verdict == "within" and differs is not None and differs.kind == "redrawn":
                # Nothing of it was drawn: another draw is further away.
                return None
            return self._reason_of(call)
        whole = differing("weights", self._golden.weights, self._case.weights) or differing(
            "inputs", self._golden.inputs, self._case.inputs
        )
        reasons = (self._reason_of(name) for name in self._order)
        return next((why for why in reasons if why is not None), whole if call else None)

    def _reason_of(self, call: str) -> str | None:
        differs = self.difference(call)
        if differs is None or differs.kind == "batch":
            return None
        if differs.kind == "trained":
            return self._of_training(call)
        if differs.kind == "descended":
            return self._between(call) if self._inherited(call) is False else None
        return differs.sentence

    def _of_training(self, call: str) -> str | None:
        """Why the training that made a call's weights is not comparable, if it is not."""
        before = self._order[: self._order.index(call)]
        reasons = (self._reason_of(name) for name in before if trains(name))
        return next((why for why in reasons if why is not None), None)

    def _between(self, call: str) -> str:
        return (
            f"inputs differ between calls: those of {call} moved further than what was returned "
            "before it"
        )

    def _inherited(self, call: str) -> bool | None:
        """Whether a call's inputs moved no further than what earlier calls returned; None where
        nobody measured."""
        examined = self._case.examined
        if call not in examined:
            return None
        before = self._order[: self._order.index(call)]
        returned = [s for name in before if name in examined for s in examined[name].returned]
        given = examined[call].given
        if None in given or None in returned:
            return None
        return furthest(filter(None, given)).within(furthest(filter(None, returned)))

    def reach(self, tensor: TensorOutcome) -> Shift | None:
        """How far depth alone may move a tensor; None where isolation does not speak for it."""
        call = self._made.get(tensor.name, "")
        examined = self._case.examined.get(call)
        if examined is None or examined.isolation != "complete" or call not in self._recorded:
            return None
        if rules.local_drift(self._case.locals):
            return None
        differs = self.difference(call)
        if differs is not None and differs.kind != "descended":
            return None
        if examined.given and not self._inherited(call):
            return None
        return examined.reach.get(tensor.name, Shift())


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
    running = case.weights
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
