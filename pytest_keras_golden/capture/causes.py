"""Why layers gave other numbers: their twins beside those that the golden keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..compare.cause import MEANING, cause_of, distance
from ..compare.floats import epsilon
from ..errors import CaptureError
from ..outcomes import LocalOutcome
from .replay.isolate import LocalMeasurement
from .replay.outermost import Outermost
from .replay.twins import Calls, Lifting, sampled, twins

if TYPE_CHECKING:
    from ..records import Array

RANK = ("rounding", "precision", "random", "meaning")
"""Causes from harmless to what matters: the worst output of a layer decides."""

EXCUSING = ("rounding", "precision")

UNSEEN = 4.0
"""How much further a layer may have moved than its sample did, to be excused by what the sample
says: of normal errors the largest of 10⁹ is 1.7 times the largest of 1,024, and no sample knows of
the one element that is something else."""


def with_causes(
    layers: Sequence[LocalOutcome],
    measured: Sequence[LocalMeasurement],
    made: Outermost,
    calls: Calls,
    pool: Mapping[str, Array],
) -> tuple[LocalOutcome, ...]:
    """The layers with the cause of their change, where twins can tell; and as they are where the
    golden has none, or the call fails in higher precision."""
    if not any(layer.twins for _, layer in calls.values()):
        return tuple(layers)
    try:
        lifting = twins(made, calls, pool)
    except CaptureError:
        return tuple(layers)
    causes: dict[str, LocalOutcome] = {}
    untold: set[str] = set()
    for item in measured:
        cause = _cause(item, calls, pool, lifting)
        if cause is None:
            untold |= set() if item.identical else {item.name}
        else:
            worst = max(causes.get(item.name, cause), cause, key=_rank)
            k = max(causes.get(item.name, cause).k or 0.0, cause.k or 0.0)
            causes[item.name] = replace(worst, k=k)
    return tuple(_with(local, causes.get(local.name), local.name in untold) for local in layers)


def _rank(local: LocalOutcome) -> tuple[int, float]:
    return RANK.index(str(local.cause)), local.twin.k if local.twin else 0.0


def _with(local: LocalOutcome, cause: LocalOutcome | None, untold: bool) -> LocalOutcome:
    """untold: something of the layer moved that has no twin, which nothing can excuse."""
    if local.verdict == "structure":
        return replace(local, cause="structure")
    if cause is None or (cause.cause in EXCUSING and (untold or not _excuses(cause, local))):
        return local
    return replace(local, cause=cause.cause, twin=cause.twin)


def _excuses(cause: LocalOutcome, local: LocalOutcome) -> bool:
    """Whether what a sample says holds for all of a layer that changed."""
    if local.verdict in ("identical", "nonfinite"):
        return False
    if local.verdict == "systematic" and cause.cause == "rounding":
        # Rounding has no direction.
        return False
    return (local.k or 0.0) <= UNSEEN * (cause.k or 0.0)


def _cause(
    item: LocalMeasurement, calls: Calls, pool: Mapping[str, Array], lifting: Lifting
) -> LocalOutcome | None:
    """What made one output of a layer, where it has a twin on both sides and nobody else is to
    blame for it."""
    twin, key = _twins_of(item, calls, lifting)
    if twin is None or not key or item.actual.shape != item.golden.shape:
        return None
    golden_twin = pool[key]
    if golden_twin.shape != twin.shape or golden_twin.dtype.name not in MEANING:
        # Of a stranger, or of a version that samples otherwise.
        return None
    run, golden = sampled(item.actual), sampled(item.golden)
    cause, figures = cause_of(run, golden, twin, golden_twin, item.precision)
    if cause is None:
        return None
    if cause == "meaning" and item.place.call in lifting.drew:
        cause = "random"
    k = distance(run, golden) / epsilon(item.precision)
    return LocalOutcome(item.name, item.order, "within", k=k, cause=cause, twin=figures)


def _twins_of(item: LocalMeasurement, calls: Calls, lifting: Lifting) -> tuple[Array | None, str]:
    """The run's twin of a tensor, and the key of the golden's; of an output that another layer is
    to blame for, neither."""
    place = item.place
    layer = calls[place.call][1] if place.call in calls else None
    if layer is None:
        return None, ""
    if place.side == "input":
        made, keys = lifting.input_twins, layer.input_twins
    elif layer.name == item.name:
        made, keys = lifting.twins, layer.twins
    else:
        return None, ""
    pairs = list(zip(made.get(place.call, ()), keys, strict=False))
    return pairs[place.index] if place.index < len(pairs) else (None, "")
