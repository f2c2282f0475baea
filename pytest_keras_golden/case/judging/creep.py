"""Small changes that were each accepted, against the oldest golden."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...compare.verdict import judge
from ...outcomes import TensorOutcome
from ...records import TensorEntry, TensorRecord, Tolerance

if TYPE_CHECKING:
    from ...store.codec import Golden
    from ..collected import Case


def creeping(case: Case, golden: Golden, anchor: Golden, tensor: TensorOutcome) -> TensorOutcome:
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
