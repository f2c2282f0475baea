"""Why layers gave other numbers: their twins beside those that the golden keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..compare.cause import cause_of
from ..errors import CaptureError
from ..outcomes import LocalOutcome
from ..records import LayerCall
from .replay.isolate import LocalMeasurement
from .replay.outermost import Outermost
from .replay.twins import Calls, Lifting, sampled, twins

if TYPE_CHECKING:
    from ..records import Array

RANK = ("rounding", "precision", "structure", "random", "meaning")
"""Causes from harmless to what matters: the worst output of a layer decides."""


def with_causes(
    found: Sequence[LocalOutcome],
    measured: Sequence[LocalMeasurement],
    made: Outermost,
    calls: Calls,
    pool: Mapping[str, Array],
) -> tuple[LocalOutcome, ...]:
    """The layers with the cause of their change, where twins can tell; and as they are where the
    golden has none, or the call fails in higher precision."""
    if not any(layer.twins for _, layer in calls.values()):
        return tuple(found)
    try:
        lifting = twins(made, calls, pool)
    except CaptureError:
        return tuple(found)
    places = {(m.place.call, m.place.index): m for m in measured if m.place.side == "output"}
    causes = {
        calls[name][1].name: max(
            _causes(name, calls[name][1], places, pool, lifting), key=_rank, default=None
        )
        for name in lifting.twins
    }
    return tuple(_with(local, causes.get(local.name)) for local in found)


def _rank(local: LocalOutcome) -> tuple[int, float]:
    return RANK.index(str(local.cause)), local.twin.k if local.twin else 0.0


def _with(local: LocalOutcome, cause: LocalOutcome | None) -> LocalOutcome:
    if local.verdict == "structure":
        return replace(local, cause="structure")
    if cause is None or (local.verdict == "identical" and cause.cause == "rounding"):
        return local
    return replace(local, cause=cause.cause, twin=cause.twin)


def _causes(
    name: str,
    layer: LayerCall,
    places: Mapping[tuple[str, int], LocalMeasurement],
    pool: Mapping[str, Array],
    lifting: Lifting,
) -> Iterator[LocalOutcome]:
    """Per output that has a twin on both sides and is not its caller's doing, what made it."""
    pairs = zip(lifting.twins[name], layer.twins, strict=False)
    for index, (twin, key) in enumerate(pairs):
        measured = places.get((name, index))
        if twin is None or not key or measured is None or measured.name != layer.name:
            continue
        if measured.actual.shape != measured.golden.shape:
            continue
        run, golden = sampled(measured.actual), sampled(measured.golden)
        cause, figures = cause_of(run, golden, twin, pool[key], measured.precision)
        if cause == "meaning" and name in lifting.drew:
            cause = "random"
        yield LocalOutcome(layer.name, measured.order, "within", cause=cause, twin=figures)
