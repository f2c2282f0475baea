"""What of a gate was accepted before: nothing that is bigger, elsewhere or otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.version import InvalidVersion, Version

from ..outcomes import QUIET, LocalOutcome, TensorOutcome, TestOutcome
from .accepted import Acceptance, bounds
from .changes import Change
from .compared.verdicts import VerdictRow, in_order


@dataclass(frozen=True, slots=True)
class Review:
    """What became of the entries in one gate. used: entry → the tests that it covers. unused: its
    change and a test of it were here, and nothing moved. expired: the old side has the change."""

    rows: tuple[VerdictRow, ...]
    used: Mapping[Acceptance, tuple[str, ...]] = field(default_factory=dict)
    unused: tuple[Acceptance, ...] = ()
    expired: tuple[Acceptance, ...] = ()


NOTHING_ACCEPTED = Review(())


def review(
    rows: Iterable[VerdictRow],
    entries: Sequence[Acceptance],
    changes: Sequence[Change],
    old: Mapping[str, str],
) -> Review:
    """Which tests that moved did so as was accepted. old: package → version on the old side."""
    live = [entry for entry in entries if _applies(entry, changes)]
    used: dict[Acceptance, list[str]] = {}
    told = []
    for row in rows:
        covering = _covering(row, live)
        for entry in covering:
            used.setdefault(entry, []).append(row.nodeid)
        told.append(_accepted(row, covering) if covering else row)
    scope = {(x.layer, nodeid) for x, nodeids in used.items() for nodeid in nodeids}
    there = {row.nodeid for row in told if row.outcome is not None}
    return Review(
        tuple(in_order(told)),
        {entry: tuple(nodeids) for entry, nodeids in used.items()},
        tuple(x for x in live if _is_idle(x, used, scope, there, told)),
        tuple(x for x in entries if all(_passed(c, old.get(c.name)) for c in x.changes)),
    )


def _accepted(row: VerdictRow, covering: Sequence[Acceptance]) -> VerdictRow:
    reasons = dict.fromkeys(f"{entry.layer}: {entry.reason}" for entry in covering)
    return replace(row, status="accepted", reason="; ".join(reasons))


def _is_idle(
    entry: Acceptance,
    used: Mapping[Acceptance, Sequence[str]],
    scope: set[tuple[str, str]],
    there: set[str],
    rows: Sequence[VerdictRow],
) -> bool:
    """Whether an entry's tests ran and none of them moved by its layer."""
    if entry in used or not there.intersection(entry.tests):
        return False
    moved = ((b, r.nodeid) for r in rows if r.outcome for b in blamed_names(r.outcome))
    seen = scope | {pair for pair in moved if pair[0] == entry.layer}
    return not any((entry.layer, nodeid) in seen for nodeid in entry.tests)


def blamed_names(outcome: TestOutcome) -> tuple[str, ...]:
    """Whom a test's drift is blamed on: layers by themselves, else the first tensor that moved."""
    first = (outcome.first_drift,) if outcome.first_drift else ()
    return tuple(dict.fromkeys(outcome.local_drift)) or first


def only_draws(status: str, outcome: TestOutcome) -> bool:
    """Whether a test is not comparable by what it draws alone, and it is known who draws."""
    causes = {layer.name: layer.cause for layer in outcome.locals}
    drawing = all(causes.get(name) == "random" for name in outcome.local_drift)
    return status == "incomparable" and bool(outcome.local_drift) and drawing


def is_only_drawn(row: VerdictRow) -> bool:
    """As `only_draws`, where the rest of the test was compared: what nobody looked at is nothing to
    accept."""
    return bool(row.drawn) and row.outcome is not None and only_draws(row.status, row.outcome)


def found(outcome: TestOutcome, name: str) -> LocalOutcome | TensorOutcome | None:
    """What was measured of whom a test's drift is blamed on."""
    if outcome.local_drift:
        return next((layer for layer in outcome.locals if layer.name == name), None)
    return next((tensor for tensor in outcome.tensors if tensor.name == name), None)


def told_by_note(measured: LocalOutcome | TensorOutcome) -> str | None:
    """What a change is whose size no number tells: k and relative L2 of NaN and Inf are those of
    the elements beside them."""
    return measured.note if measured.k is None or measured.verdict == "nonfinite" else None


def loud(outcome: TestOutcome) -> list[TensorOutcome]:
    """The judged tensors of a test that are beyond their tolerance."""
    quiet = {*QUIET, "accumulated"}
    return [t for t in outcome.tensors if t.judged and t.verdict not in quiet]


def _covering(row: VerdictRow, live: Sequence[Acceptance]) -> list[Acceptance]:
    """An entry for each layer to blame, the tightest that will do; nothing where one has none, or
    where a tensor moved further or otherwise than they allow."""
    if row.outcome is None or not (row.status == "moved" or is_only_drawn(row)):
        return []
    outcome, covering = row.outcome, []
    for name in blamed_names(outcome):
        fitting = [x for x in live if _fits(x, row.nodeid, name, found(outcome, name))]
        if not fitting:
            return []
        covering.append(min(fitting, key=lambda x: tuple(bounds(x.at_most).values())))
    within = all(any(_allows(x, tensor) for x in covering) for tensor in loud(outcome))
    return covering if within else []


def _fits(
    entry: Acceptance, nodeid: str, name: str, measured: LocalOutcome | TensorOutcome | None
) -> bool:
    if measured is None or entry.layer != name or nodeid not in entry.tests:
        return False
    if entry.note != told_by_note(measured):
        return False
    alike = (entry.verdict, entry.cause) == (measured.verdict, getattr(measured, "cause", None))
    if isinstance(measured, TensorOutcome):
        return alike and _allows(entry, measured)
    return alike and _inside(
        (measured.k, entry.at_most.own_k), (measured.rel_l2, entry.at_most.own_rel_l2)
    )


def _allows(entry: Acceptance, tensor: TensorOutcome) -> bool:
    """Tensors drift behind a layer that was accepted, and cannot be compared behind one that draws
    other numbers; another verdict has another cause."""
    if tensor.verdict == "incomparable" and entry.cause == "random":
        return _inside((tensor.k, entry.at_most.k), (tensor.rel_l2, entry.at_most.rel_l2))
    if tensor.verdict not in ("drift", "systematic") and tensor.verdict != entry.verdict:
        return False
    if tensor.k is None and tensor.rel_l2 is None:
        return entry.verdict == tensor.verdict and entry.note == tensor.note
    return _inside((tensor.k, entry.at_most.k), (tensor.rel_l2, entry.at_most.rel_l2))


def _inside(*pairs: tuple[float | None, float | None]) -> bool:
    """Whether each number has a bound and lies below it; NaN lies below none."""
    return all(size is None or (bound is not None and size <= bound) for size, bound in pairs)


def _applies(entry: Acceptance, changes: Sequence[Change]) -> bool:
    """Whether the gate goes over everything that made the drift."""
    return all(any(_spans(gate, change) for gate in changes) for change in entry.changes)


def _spans(gate: Change, accepted: Change) -> bool:
    """Whether the gate begins inside the accepted step and goes the same way.

    One that begins before it has other releases in it, whose drift nobody accepted.
    """
    if gate.name != accepted.name:
        return False
    numbers = _numbers(accepted.old, accepted.new, gate.old, gate.new)
    if numbers is None:
        return (gate.old, gate.new) == (accepted.old, accepted.new)
    low, high, old, new = numbers
    return low <= old < high and new > old if low < high else high < old <= low and new < old


def _passed(accepted: Change, old: str | None) -> bool:
    """Whether the old side has the change already."""
    numbers = _numbers(accepted.old, accepted.new, old)
    if numbers is None:
        return old is not None and old == accepted.new
    low, high, now = numbers
    return now >= high if low < high else now <= high


def _numbers(*texts: str | None) -> tuple[Version, ...] | None:
    """Versions in their order; None where one is none: switches, say."""
    try:
        return tuple(Version(str(text)) for text in texts)
    except InvalidVersion:
        return None
