"""Tests that a reader needs told once: of one status, for one reason."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from ...report import amount
from ...report.summary import verdict_of
from ..compared.verdicts import VerdictRow
from .sections import WITH_NUMBERS, row_amount, row_detail

MEASURED = frozenset({*WITH_NUMBERS, "unstable"})
"""The statuses whose tests say in numbers what they did: no two say the same."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Rows that are told as one, in their order."""

    rows: tuple[VerdictRow, ...]

    @property
    def first(self) -> VerdictRow:
        """Whose name it goes by."""
        return self.rows[0]

    @property
    def worst(self) -> VerdictRow:
        """Whose numbers it has."""
        return max(self.rows, key=_size)

    @property
    def more(self) -> str:
        """` and 11 more`; empty for a test that is alone."""
        return f" and {len(self.rows) - 1:,} more" if len(self.rows) > 1 else ""


def groups(rows: Iterable[VerdictRow]) -> list[Alike]:
    """In the order of the first of each."""
    found: dict[Hashable, list[VerdictRow]] = {}
    for row in rows:
        found.setdefault(_kind(row), []).append(row)
    return [Alike(tuple(these)) for these in found.values()]


def group_amount(group: Alike) -> str:
    """How much the test moved that moved most."""
    told = row_amount(group.worst)
    sized = told and told[0].isdigit()
    return f"up to {told}" if group.more and sized else told


def _kind(row: VerdictRow) -> Hashable:
    """What two rows share that are told as one. Of measured tests: the function that parameters
    make several tests of, the layers to blame, and the verdict."""
    outcome = row.outcome
    if row.status == "no tensors":
        # Kinds of what was not looked at are no reasons: each such test is named.
        return row.status, row.nodeid
    if row.status not in MEASURED or outcome is None or not outcome.tensors:
        return row.status, row_detail(row)
    function, _, parameters = row.nodeid.partition("[")
    where = outcome.local_drift or (outcome.first_drift, outcome.isolation)
    one = function if parameters else (row.nodeid,)
    return row.status, one, where, verdict_of(outcome)


def _size(row: VerdictRow) -> tuple[tuple[float, float], float]:
    """By the tensor that moved most; where those are equal, by the layer."""
    if row.outcome is None:
        return (0.0, 0.0), 0.0
    most, layer = amount.moved_most(row.outcome), amount.own_most(row.outcome)
    tensor = (0.0, 0.0) if most is None else amount.weight(most)
    return tensor, 0.0 if layer is None else amount.own_strain(layer)
