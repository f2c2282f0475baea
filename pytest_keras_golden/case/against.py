"""A case against its golden: what capture blocks ask of it, and calls beside those it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..compare.calls import Difference, Ran, difference, differing, trains
from ..compare.depth import Shift, furthest
from ..compare.verdict import judge
from ..records import OutermostCall, ProgramRun, TensorEntry, TensorRecord, Tolerance, record_of
from ..stack import stack_changes
from . import rules
from .recording import judged_alike

if TYPE_CHECKING:
    from ..outcomes import TensorOutcome
    from ..store.codec import Golden
    from .collected import Case

BEYOND = frozenset({"drift", "systematic"})
"""Verdicts that depth may explain."""


@dataclass(frozen=True)
class CaseGolden:
    """Implements `capture.examine.Against` for one case."""

    case: Case

    @property
    def golden(self) -> Golden | None:
        return self.case.goldens.baseline()

    @property
    def recording(self) -> bool:
        return self.case.settings.update or self.case.settings.twins == "now"

    @property
    def twins(self) -> bool:
        return self.recording and self.case.settings.twins != "later"

    @property
    def across_backends(self) -> bool:
        return self.case.settings.across_backends

    @property
    def across_policies(self) -> bool:
        return self.case.settings.across_policies

    def begins(self, policy: str | None) -> None:
        self.case.goldens.note_policy(policy, own=False)

    def unchanged(
        self, name: str, digest: str, tolerance: Tolerance | None
    ) -> Sequence[TensorRecord] | None:
        """Only under the golden's own stack: elsewhere a watched program may be another one though
        that of the test is not. Raises CorruptGoldenError."""
        golden = self.golden
        if golden is None or self.recording or self._is_of_another_stack(golden):
            return None
        wanted = name, judged_alike(self.case, digest)
        known = next((p for p in golden.header.programs if (p.name, p.digest) == wanted), None)
        records = [] if known is None else [*self._records(golden, known, tolerance)]
        self.case.unwatched += sum(record.judged for record in records)
        return records or None

    def _is_of_another_stack(self, golden: Golden) -> bool:
        return bool(stack_changes(golden.header.stack, self.case.goldens.stack()))

    def _records(
        self, golden: Golden, program: ProgramRun, tolerance: Tolerance | None
    ) -> Iterator[TensorRecord]:
        """As they were when the golden was recorded."""
        entries = golden.header.tensors
        places = {entry.name: at for at, entry in enumerate(entries)}
        if program.first not in places or program.last not in places:
            return
        for entry in entries[places[program.first] : places[program.last] + 1]:
            record = record_of(entry, golden.array(entry.name), golden.sums(entry.name))
            record = replace(record, tolerance=tolerance, digest=entry.digest, known=True)
            yield replace(record, slack=self._slack(record, entry))

    def _slack(self, record: TensorRecord, entry: TensorEntry) -> float:
        """What is in the golden's tolerance beside the one that is asked for."""
        plain, known = self.case.tolerance(record).k, entry.tolerance
        if plain is None or known is None or known.k is None:
            return 0.0
        return max(0.0, known.k - plain)

    def moved(self, records: Sequence[TensorRecord]) -> bool:
        golden = self.golden
        if golden is None:
            return False
        entries = {entry.name: entry.digest for entry in golden.header.tensors}
        judged = (record for record in records if record.judged)
        return any(self.case.digest(record) != entries.get(record.name) for record in judged)

    def beyond(self, records: Sequence[TensorRecord]) -> bool:
        return any(self._is_beyond(record) for record in records if record.judged)

    def _is_beyond(self, record: TensorRecord) -> bool:
        outcome = self.outcome(record)
        return outcome is not None and outcome.verdict in BEYOND

    def outcome(self, record: TensorRecord) -> TensorOutcome | None:
        golden = self.golden
        if golden is None:
            return None
        entry = golden.header.entry(record.name)
        record, tolerance = self.case.against(record, entry)
        return judge(
            record,
            0,
            entry,
            lambda: golden.array(record.name),
            tolerance,
            systematic=self.case.settings.systematic,
            digest=self.case.digest(record),
            reference=lambda: golden.reference(record.name),
            sums=lambda: golden.sums(record.name),
            any_precision=self.across_policies,
            any_width=self.across_backends,
        )

    def differs(self, call: OutermostCall, prints: Ran) -> Difference | None:
        golden = self.golden
        if golden is None:
            return None
        seen, settings = (
            recorded(self.case, _Seen(self.case, prints), golden.header),
            self.case.settings,
        )
        apart = settings.across_backends, settings.shared_draws
        differs = difference(golden.header, seen, call.name, *apart)
        return None if differs is None or differs.kind == "descended" else differs


@dataclass(frozen=True)
class _Seen:
    """What a case has seen, with the block that is still open."""

    case: Case
    block: Ran

    @property
    def weights(self) -> Mapping[str, str]:
        return {**self.case.weights, **self.block.weights}

    @property
    def inputs(self) -> Mapping[str, str]:
        return {**self.case.inputs, **self.block.inputs}

    @property
    def outermost(self) -> Sequence[OutermostCall]:
        return (*self.case.outermost, *self.block.outermost)


@dataclass(frozen=True)
class _Rounded:
    """A run that holds the golden's weights in another precision, as if it held them whole."""

    ran: Ran
    golden: Ran
    roundings: Mapping[str, Set[str]]

    @property
    def weights(self) -> Mapping[str, str]:
        return self._whole(self.ran.weights, self.golden.weights)

    @property
    def inputs(self) -> Mapping[str, str]:
        return self.ran.inputs

    @cached_property
    def outermost(self) -> Sequence[OutermostCall]:
        # Made once: a call is known by what it is, not by what is in it.
        updates = {call.name: call.updates for call in self.golden.outermost}
        return [
            replace(call, updates=self._whole(call.updates, updates.get(call.name, {})))
            for call in self.ran.outermost
        ]

    def _whole(self, digests: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
        """By name: one rounding may be that of several weights, as of zeros."""
        golden = {**self.golden.weights, **wanted}
        return {
            name: golden[name] if golden.get(name) in self.roundings.get(key, ()) else key
            for name, key in digests.items()
        }


def recorded(case: Case, ran: Ran, golden: Ran) -> Ran:
    """What a case has seen as the golden would say it: between two policies weights are those that
    they are the roundings of."""
    return _Rounded(ran, golden, case.roundings) if case.roundings else ran


class OutermostCalls:
    """Those of a test beside the golden's: what differs, and what depth can do."""

    def __init__(self, case: Case, golden: Golden) -> None:
        self._case = case
        self._golden = golden.header
        self._ran = recorded(case, case, golden.header)
        self._made = {record.name: record.call for record in case.records.values()}
        self._order = [call.name for call in case.outermost]
        self._recorded = {call.name for call in golden.header.outermost}
        self._known: dict[str, Difference | None] = {}

    def difference(self, call: str) -> Difference | None:
        if call not in self._known:
            settings = self._case.settings
            apart = settings.across_backends, settings.shared_draws
            self._known[call] = difference(self._golden, self._ran, call, *apart)
        return self._known[call]

    def reason(self, tensor: TensorOutcome) -> str | None:
        """Why the tensor is not comparable; of one that the test made itself, any reason."""
        call = self._made.get(tensor.name, "")
        if call in self._recorded and call in self._order:
            differs = self.difference(call)
            kind = None if differs is None else differs.kind
            if tensor.verdict == "within" and kind in ("redrawn", "rewritten"):
                # Other draws, and weights that are not what they were by rounding alone, are
                # further away.
                return None
            return self._reason_of(call)
        whole = differing("weights", self._golden.weights, self._ran.weights) or differing(
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
