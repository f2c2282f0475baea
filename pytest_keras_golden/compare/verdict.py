"""From numbers to a verdict: one tensor against its golden, one layer against its golden output."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..outcomes import LocalOutcome, TensorOutcome
from . import tolerance as tolerances
from .metrics import Metrics, measure

if TYPE_CHECKING:
    from ..records import Array, TensorEntry, TensorRecord, Tolerance, Verdict


def judge(
    record: TensorRecord,
    order: int,
    entry: TensorEntry | None,
    load: Callable[[], Array],
    tolerance: Tolerance,
    *,
    systematic: str = "fail",
    digest: str | None = None,
    reference: Array | None = None,
    noise: float | None = None,
    candidates: Iterable[str] = (),
) -> TensorOutcome:
    """Judge one tensor of a run against the golden's `entry`.

    load: reads the golden's bytes; not called while metadata or the digest decide. entry None is a
    new tensor, `candidates` are then the golden's names, to suggest from.
    systematic: `off` never says so. reference: the tensor in higher precision, for the three-way
    rule. noise: the floor in units of k; the entry's own where None.
    """
    base = _outcome(record, order, tolerance)
    if entry is None:
        return replace(base, verdict="structure", note=_new(record.name, candidates))
    base = replace(base, detects=entry.detects)
    problem = _structure(record, entry)
    if problem:
        return replace(base, verdict="structure", note=problem)
    if digest is not None and digest == entry.digest:
        return replace(base, verdict="identical", **_UNCHANGED)
    golden = load()
    floor = entry.noise if noise is None else noise
    metrics = measure(record.value, golden, tolerance, base.precision, noise=floor)
    return _decide(_measured(base, metrics), metrics, systematic, floor)


def missing(entry: TensorEntry, candidates: Iterable[str] = ()) -> TensorOutcome:
    """The outcome of a golden tensor that the run lacks; `candidates`: the run's names."""
    note = f"missing: the golden has {entry.name!r}, the run does not" + _nearest(
        entry.name, candidates
    )
    return TensorOutcome(
        name=entry.name,
        order=entry.order,
        kind=entry.kind,
        dtype=entry.dtype,
        precision=entry.precision,
        shape=entry.shape,
        judged=entry.judged,
        verdict="structure",
        source=entry.source,
        tolerance=entry.tolerance,
        detects=entry.detects,
        note=note,
    )


def judge_local(
    name: str,
    order: int,
    actual: Sequence[Array],
    golden: Sequence[Array],
    precision: str = "",
    *,
    systematic: str = "fail",
) -> LocalOutcome:
    """One layer's own outputs on golden inputs against the golden's outputs.

    Judged by the default tolerance of a single layer, whatever the test tolerates: blame is not
    a matter of configuration. The worst output decides.
    """
    if len(actual) != len(golden):
        note = f"{len(actual)} outputs, golden has {len(golden)}"
        return LocalOutcome(name, order, "structure", precision, note=note)
    worst = LocalOutcome(name, order, "identical", precision, k=0.0, rel_l2=0.0)
    for position, (a, g) in enumerate(zip(actual, golden, strict=True)):
        found = _judge_output(worst, a, g, precision, systematic)
        if position == 0 or _SEVERITY.index(found.verdict) > _SEVERITY.index(worst.verdict):
            worst = found
    return worst


_SEVERITY: tuple[Verdict, ...] = (
    "identical",
    "within",
    "systematic",
    "drift",
    "nonfinite",
    "structure",
)
_UNCHANGED: Mapping[str, Any] = {
    "max_abs": 0.0,
    "max_rel": 0.0,
    "k": 0.0,
    "rel_l2": 0.0,
    "cosine": 1.0,
    "mismatches": 0,
    "max_ulp": 0,
    "bias": 0.0,
    "bias_t": 0.0,
}


def _judge_output(
    base: LocalOutcome, actual: Array, golden: Array, precision: str, systematic: str
) -> LocalOutcome:
    if actual.shape != golden.shape or actual.dtype != golden.dtype:
        note = f"{_form(actual)}, golden has {_form(golden)}"
        return replace(base, verdict="structure", k=None, rel_l2=None, note=note)
    precision = precision or golden.dtype.name
    metrics = measure(actual, golden, tolerances.default(precision), precision)
    verdict = _verdict(metrics, systematic)
    bias = metrics.bias
    return replace(
        base,
        verdict=verdict,
        precision=precision,
        k=metrics.k,
        rel_l2=metrics.rel_l2,
        bias=None if bias is None else bias.slope,
        bias_t=None if bias is None else bias.slope_t,
        note=_note(verdict, metrics, precision),
    )


def _verdict(metrics: Metrics, systematic: str) -> Verdict:
    if metrics.nonfinite_changed:
        return "nonfinite"
    if metrics.mismatches:
        return "drift"
    if metrics.max_ulp == 0:
        return "identical"
    biased = systematic != "off" and metrics.bias is not None and metrics.bias.systematic
    return "systematic" if biased else "within"


def _outcome(record: TensorRecord, order: int, tolerance: Tolerance) -> TensorOutcome:
    return TensorOutcome(
        name=record.name,
        order=order,
        kind=record.kind,
        dtype=record.value.dtype.name,
        precision=record.precision or record.value.dtype.name,
        shape=tuple(int(size) for size in record.value.shape),
        judged=record.judged,
        verdict="within",
        source=record.source,
        tolerance=tolerance,
    )


def _structure(record: TensorRecord, entry: TensorEntry) -> str | None:
    if record.value.dtype.name == entry.dtype and record.value.shape == tuple(entry.shape):
        return None
    golden = f"{entry.dtype}{list(entry.shape)}"
    return f"{_form(record.value)}, golden has {golden}"


def _form(array: Array) -> str:
    return f"{array.dtype.name}{list(array.shape)}"


def _measured(base: TensorOutcome, metrics: Metrics) -> TensorOutcome:
    return replace(
        base,
        max_abs=metrics.max_abs,
        max_rel=metrics.max_rel,
        k=metrics.k,
        rel_l2=metrics.rel_l2,
        cosine=metrics.cosine,
        mismatches=metrics.mismatches,
        max_ulp=metrics.max_ulp,
        bias=None if metrics.bias is None else metrics.bias.slope,
        bias_t=None if metrics.bias is None else metrics.bias.slope_t,
        index=metrics.index,
    )


def _decide(
    base: TensorOutcome, metrics: Metrics, systematic: str, noise: float | None
) -> TensorOutcome:
    verdict = _verdict(metrics, systematic)
    return replace(base, verdict=verdict, note=_note(verdict, metrics, base.precision))


def _note(verdict: Verdict, metrics: Metrics, precision: str) -> str | None:
    if verdict == "nonfinite":
        place = list(metrics.nonfinite_index or ())
        return f"{metrics.nonfinite_changed} elements became or ceased to be NaN/Inf, first {place}"
    if verdict == "systematic" and metrics.bias is not None:
        return metrics.bias.sentence(precision)
    return None


def _new(name: str, candidates: Iterable[str]) -> str:
    return f"new: the golden has no {name!r}" + _nearest(name, candidates)


def _nearest(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f"; renamed? nearest is {close[0]!r}" if close else ""
