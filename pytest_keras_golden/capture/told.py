"""What a golden has of a training beside its steps: components by themselves, which are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..records import OutermostCall, TensorRecord
from .findings import Findings
from .train.steps import StepRecorder

_BY_THEMSELVES = re.compile(r"(test_)?step_\d+/(alone|optimizer)/", re.ASCII)
"""How their names begin."""


@dataclass(frozen=True)
class ToldParts:
    """Takes their records, where a golden is made that may be asked why, or one has them."""

    findings: Findings

    def losses(self, entry: OutermostCall, records: Iterable[TensorRecord]) -> list[TensorRecord]:
        """Of losses and metrics. records: made as they are asked for."""
        return self._take(entry, records) if self._is_asked() else []

    def optimizer(self, entry: OutermostCall, recorder: StepRecorder | None) -> list[TensorRecord]:
        if recorder is None or not self._is_asked():
            return []
        return self._take(entry, recorder.exercised())

    def copy(self) -> None:
        """Of components whose steps are the golden's: a candidate has them from there."""
        against, taken = self.findings.against, self.findings.taken["tensor"]
        golden = None if against is None else against.golden
        for name in self._of_golden():
            if golden is not None and name not in taken:
                taken.add(name)
                record = TensorRecord(name, golden.array(name), judged=False)
                self.findings.records.append(record)

    def _take(self, entry: OutermostCall, records: Iterable[TensorRecord]) -> list[TensorRecord]:
        """Before what else is recorded of the call, whose last tensors are what it returned."""
        before = self.findings.records
        place = next((at for at, r in enumerate(before) if r.call == entry.name), len(before))
        taken, _ = self.findings.take(entry, {record.name: record for record in records})
        del self.findings.records[len(self.findings.records) - len(taken) :]
        self.findings.records[place:place] = taken
        return taken

    def _is_asked(self) -> bool:
        against = self.findings.against
        return against is None or against.twins or any(self._of_golden())

    def _of_golden(self) -> Iterator[str]:
        """Names of the golden's tensors of them, of this block."""
        against, prefix = self.findings.against, self.findings.request.prefix
        golden = None if against is None else against.golden
        for tensor in golden.header.tensors if golden is not None else ():
            own = tensor.name.startswith(prefix)
            if own and _BY_THEMSELVES.match(tensor.name.removeprefix(prefix)):
                yield tensor.name
