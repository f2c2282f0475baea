"""One golden judged against another, as a test would judge it; or tensors that are in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..outcomes import FAILING, TensorOutcome, TestOutcome, first_drift
from ..records import GoldenHeader, TensorEntry, Tolerance, ToleranceRule, record_of

if TYPE_CHECKING:
    from ..records import Array


class Compared(Protocol):
    """One side: a golden file, or tensors in memory that are described as one would."""

    @property
    def path(self) -> Path | str: ...
    @property
    def header(self) -> GoldenHeader: ...
    def array(self, name: str) -> Array: ...
    def reference(self, name: str) -> Array | None: ...
    def sums(self, name: str) -> Array | None: ...


def compare(
    a: Compared,
    b: Compared,
    asked: Tolerance | None,
    rules: tuple[ToleranceRule, ...] = (),
    systematic: str = "fail",
) -> TestOutcome:
    """B against A; `failed` where a judged tensor is beyond what a test would let pass.

    systematic: `off` lets a bias inside the tolerance pass.
    """
    from ..compare.verdict import missing
    from ..stack import stack_changes

    names = tuple(entry.name for entry in b.header.tensors)
    tensors = [_judged(a, b, entry, asked, rules, systematic) for entry in b.header.tensors]
    tensors += [missing(e, candidates=names) for e in a.header.tensors if e.name not in names]
    failing = [t for t in tensors if t.judged and t.verdict in FAILING | {"systematic"}]
    # Of tensors given by hand nobody knows what made them: no difference can be told.
    is_known = bool(a.header.stack) and bool(b.header.stack)
    return TestOutcome(
        nodeid=f"{a.path} → {b.path}",
        outcome="failed" if failing else "passed",
        baseline=a.header.stack.get("keras") if is_known else None,
        golden=str(a.path),
        candidate=str(b.path),
        stack=b.header.stack,
        stack_changes=stack_changes(a.header.stack, b.header.stack) if is_known else {},
        mode=b.header.mode,
        weights=_weights(a, b),
        first_drift=first_drift(tensors),
        tensors=tuple(tensors),
    )


def _judged(
    a: Compared,
    b: Compared,
    entry: TensorEntry,
    asked: Tolerance | None,
    rules: tuple[ToleranceRule, ...],
    systematic: str,
) -> TensorOutcome:
    from ..compare.verdict import judge

    old = a.header.entry(entry.name)
    record = record_of(entry, b.array(entry.name), b.sums(entry.name))
    return judge(
        record,
        entry.order,
        old,
        lambda: a.array(entry.name),
        asked or _tolerance(old or entry, rules),
        systematic=systematic,
        digest=entry.digest,
        reference=lambda: a.reference(entry.name),
        sums=lambda: a.sums(entry.name),
        noise=None if old is None else old.noise,
        candidates=tuple(item.name for item in a.header.tensors),
    )


def _tolerance(entry: TensorEntry, rules: tuple[ToleranceRule, ...]) -> Tolerance:
    from ..tolerance import default, resolve

    tolerance = resolve(entry.name, entry.arithmetic, ini=rules)
    usual = tolerance == default(entry.arithmetic)
    return entry.tolerance if usual and entry.tolerance is not None else tolerance


def _weights(a: Compared, b: Compared) -> str:
    if not a.header.weights or not b.header.weights:
        return "unknown"
    return "equal" if dict(a.header.weights) == dict(b.header.weights) else "differ"
