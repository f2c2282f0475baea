"""What capture blocks ask about the golden of their test while they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..compare.calls import Difference, Ran, difference
from ..compare.verdict import judge
from ..records import OutermostCall, TensorRecord

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
        seen, settings = _Seen(self.case, prints), self.case.settings
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
