"""From numbers to a verdict: one tensor of a run against its golden."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import nearest
from ..outcomes import TensorOutcome
from ..tolerance import EPSILON, INTEGER_DTYPES, default
from . import floats
from .evidence import elementwise, gather
from .exact import in_one_width
from .logits import unchanged
from .metrics import Metrics, measure
from .places import placed
from .sampling import Pair, paired

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
    reference: Callable[[], Array | None] = lambda: None,
    sums: Callable[[], Array | None] = lambda: None,
    noise: float | None = None,
    candidates: Iterable[str] = (),
    any_precision: bool = False,
    any_width: bool = False,
) -> TensorOutcome:
    """Judge one tensor of a run against the golden's `entry`.

    load: reads the golden's bytes; reference: the tensor in higher precision, for the three-way
    rule; sums: of a sample (see `sampling`). None is called while metadata or the digest, of the
    whole tensor, decide. entry None is a new tensor,
    `candidates` are then the golden's names, to suggest from. systematic: `off` never says so.
    noise: the floor in units of k; the entry's own where None. any_precision: the golden may be of
    another one on purpose: both are judged in the coarser. any_width: and integers in other widths,
    of which the numbers count. Raises ValueError where the reference has another shape.
    """
    base = _outcome(record, order, tolerance)
    if entry is None:
        note = f"new: the golden has no {record.name!r}{_renamed(record.name, candidates)}"
        return replace(base, verdict="structure", note=note)
    base = replace(base, precision=_finer(base.precision, entry), detects=entry.detects)
    if any_precision:
        base, tolerance = _in_the_coarser(record, entry, base)
    problem = _structure(record, entry, any_precision, any_width)
    if problem:
        return replace(base, verdict="structure", note=problem)
    if digest is not None and digest == entry.digest:
        return _identical(base)
    pair = paired(record, entry, load(), reference(), sums)
    actual, golden = pair.actual, pair.golden
    if any_precision:
        actual, golden = floats.in_the_coarser(actual, golden)
    if any_width and actual.dtype != golden.dtype:
        actual, golden = in_one_width(actual, golden)
        if np.array_equal(actual, golden):
            return _identical(base)
    floor = entry.noise if noise is None else noise
    pair = replace(pair, actual=actual, golden=golden)
    metrics = placed(measure(actual, golden, tolerance, base.precision, noise=floor), pair)
    evidence = gather(base, pair, metrics)
    verdict, said = evidence.verdict(systematic, _unstable(tolerance, base, metrics, floor))
    outcome = replace(_measured(base, metrics), verdict=verdict, note=said, extra=evidence.extra())
    return outcome if pair.sums is None else _with_sums(outcome, pair, tolerance, floor)


def _with_sums(
    outcome: TensorOutcome, pair: Pair, tolerance: Tolerance, floor: float | None
) -> TensorOutcome:
    """What a sample leaves out moved as far as the sums over all elements say. A reference that
    excuses what was kept excuses them."""
    assert pair.sums is not None
    summed = measure(*pair.sums, tolerance, outcome.precision, noise=floor)
    found = elementwise(summed, "off")
    note = "; ".join(part for part in (outcome.note, pair.note) if part)
    outcome = replace(outcome, note=note)
    excused = bool(outcome.mismatches) and outcome.verdict in ("within", "systematic", "unstable")
    if found == "within" or excused or outcome.verdict in ("drift", "nonfinite"):
        return outcome
    return replace(
        outcome,
        verdict=found,
        k=max(outcome.k or 0.0, summed.k),
        rel_l2=max(outcome.rel_l2 or 0.0, summed.rel_l2),
        mismatches=None,
        max_abs=None,
        max_rel=None,
        max_ulp=None,
        index=None,
        note=f"outside of the elements that are kept: {note}",
    )


def missing(entry: TensorEntry, candidates: Iterable[str] = ()) -> TensorOutcome:
    """The outcome of a golden tensor that the run lacks; `candidates`: the run's names."""
    renamed = _renamed(entry.name, candidates)
    note = f"missing: the golden has {entry.name!r}, the run does not{renamed}"
    return outcome_of(entry, "structure", note)


def outcome_of(entry: TensorEntry, verdict: Verdict, note: str | None = None) -> TensorOutcome:
    """An outcome about which the golden's metadata alone decide."""
    return TensorOutcome(
        name=entry.name,
        order=entry.order,
        kind=entry.kind,
        dtype=entry.dtype,
        precision=entry.precision,
        shape=entry.shape,
        judged=entry.judged,
        verdict=verdict,
        source=entry.source,
        tolerance=entry.tolerance,
        detects=entry.detects,
        note=note,
    )


def _outcome(record: TensorRecord, order: int, tolerance: Tolerance) -> TensorOutcome:
    return TensorOutcome(
        name=record.name,
        order=order,
        kind=record.kind,
        dtype=record.value.dtype.name,
        precision=record.arithmetic,
        shape=record.shape,
        judged=record.judged,
        verdict="within",
        source=record.source,
        tolerance=tolerance,
    )


def _identical(base: TensorOutcome) -> TensorOutcome:
    logits = base.kind == "logits" and len(base.shape) > 0
    return replace(
        base,
        verdict="identical",
        max_abs=0.0,
        max_rel=0.0,
        k=0.0,
        rel_l2=0.0,
        cosine=1.0,
        mismatches=0,
        max_ulp=0,
        bias=0.0,
        bias_t=0.0,
        extra=unchanged(base.shape).to_extra() if logits else {},
    )


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


def _finer(precision: str, entry: TensorEntry) -> str:
    """Where the arithmetic itself changed, the finer ε judges: a fall to bfloat16 must show."""
    return min((precision, entry.arithmetic), key=floats.epsilon)


def _in_the_coarser(
    record: TensorRecord, entry: TensorEntry, base: TensorOutcome
) -> tuple[TensorOutcome, Tolerance]:
    """Lower precision is expected to differ: whether by more than its ε explains is asked."""
    coarser = max((record.arithmetic, entry.arithmetic), key=floats.epsilon)
    given = base.tolerance
    is_default = given is None or given == default(record.arithmetic)
    tolerance = default(coarser) if is_default else given
    assert tolerance is not None
    return replace(base, precision=coarser, tolerance=tolerance), tolerance


def _structure(
    record: TensorRecord, entry: TensorEntry, any_precision: bool, any_width: bool
) -> str | None:
    value, dtypes = record.value, {record.value.dtype.name, entry.dtype}
    same = (
        len(dtypes) == 1
        or (any_precision and dtypes <= EPSILON.keys())
        or (any_width and dtypes <= INTEGER_DTYPES)
    )
    if same and record.shape == tuple(entry.shape):
        return None
    return f"{form(value.dtype.name, record.shape)}, golden has {form(entry.dtype, entry.shape)}"


def form(dtype: str, shape: tuple[int, ...]) -> str:
    """`float32[2, 16]`."""
    return f"{dtype}{list(shape)}"


def _unstable(
    tolerance: Tolerance, base: TensorOutcome, metrics: Metrics, noise: float | None
) -> str | None:
    """Whether repeats under one stack differ by more than the tolerance allows."""
    eps = floats.epsilon(base.precision)
    if not noise or not eps:
        return None
    allowed = tolerance.k
    if allowed is None:
        of_scale = (tolerance.atol or 0.0) / metrics.scale if metrics.scale else 0.0
        allowed = max(tolerance.rtol or 0.0, of_scale) / eps
    if noise <= allowed:
        return None
    return (
        f"repeats under one stack differ by k={noise:.3g}, more than the tolerance's {allowed:.3g}"
    )


def _renamed(name: str, candidates: Iterable[str]) -> str:
    close = nearest(name, candidates)
    return f"; renamed? nearest is {close[0]!r}" if close else ""
