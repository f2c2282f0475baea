"""What the logs of one or more runs say together: read once, for every format of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..outcomes import QUIET, TestOutcome, test_from_json
from .asides import unseen, with_left_alone
from .summary import compared, verdict_counts, verdict_of, worst_first
from .wording import counted, keras_named, plural

WHOLE = frozenset({0, 1, 5})
"""pytest's codes of runs that came to their end: passed, failed, nothing collected."""


@dataclass(frozen=True, slots=True)
class Runs:
    """ran: every test. errors: modules that could not be collected. codes: pytest's, per run."""

    ran: tuple[TestOutcome, ...] = ()
    errors: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()

    @property
    def tests(self) -> list[TestOutcome]:
        """Those that a report lists: recorded, compared, skipped or broken."""
        return compared(self.ran)


def read(log: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Runs:
    """One `--golden-log` document, or several (workers, jobs)."""
    logs = [log] if isinstance(log, Mapping) else list(log)
    return Runs(
        tuple(test_from_json(entry) for document in logs for entry in document.get("tests", ())),
        tuple(str(e) for document in logs for e in document.get("collection_errors", ())),
        tuple(int(document.get("exitstatus") or 0) for document in logs),
    )


def conclusion(runs: Runs) -> str:
    """`3 of 40 tests moved between Keras 3.5.0 and 3.6.0`, for the top of a report.

    Only what was compared holds; without it, nothing was compared.
    """
    parts = [_compared(runs)]
    if runs.errors and not parts[0].endswith("collection failed"):
        parts.append(f"{plural(len(runs.errors), 'module')} could not be collected")
    elif not runs.errors and not WHOLE.issuperset(runs.codes):
        code = next(code for code in runs.codes if code not in WHOLE)
        parts.append(f"the run ended early, with pytest's code {code}")
    return "; ".join(parts)


def _compared(runs: Runs) -> str:
    tests = runs.tests
    loud = worst_first(tests)
    held = [test for test in tests if verdict_of(test) in QUIET]
    if loud:
        return _loud(loud, len(tests))
    if held:
        rest = counted(verdict_counts(t for t in tests if verdict_of(t) not in QUIET))
        what = "the test holds" if len(held) == 1 else f"all {len(held):,} tests hold"
        return f"{what}{_span(held)}" + (f" ({rest})" if rest else "")
    return _nothing(runs)


def _loud(loud: Sequence[TestOutcome], total: int) -> str:
    broke = [test for test in loud if verdict_of(test) in ("failed", "error")]
    moved = [test for test in loud if test not in broke]
    parts = []
    if moved:
        fails = any(test.outcome in ("failed", "error") for test in moved)
        end = "" if fails or broke else ": none fails"
        what = f"{len(moved):,} of {plural(total, 'test')} moved{_span(moved)}"
        parts.append(f"{what} ({counted(verdict_counts(moved))}){end}")
    if broke:
        start = f"{len(broke):,}" if moved else f"{len(broke):,} of {plural(total, 'test')}"
        parts.append(f"{start} ended before anything was compared")
    return ", ".join(parts)


def _nothing(runs: Runs) -> str:
    counts = dict(verdict_counts(runs.tests))
    aside = len(unseen(map(with_left_alone, runs.ran)))
    if aside:
        counts["not looked at"] = aside
    if counts:
        return f"nothing was compared ({counted(counts)})"
    return "nothing was compared: collection failed" if runs.errors else "no golden test ran"


def _span(tests: Sequence[TestOutcome]) -> str:
    pairs = {(t.baseline, t.stack.get("keras")) for t in tests if t.baseline}
    if len(pairs) != 1:
        return ""
    old, new = pairs.pop()
    if new in (None, old):
        return f" against {keras_named(old)}"
    return f" between {keras_named(old)} and {new}"
