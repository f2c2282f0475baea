"""Why layers gave other numbers: their twins beside those that the golden keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING

from ..compare.cause import MEANING, cause_of, distance, errs_alike
from ..compare.floats import epsilon
from ..errors import CaptureError
from ..outcomes import Cause, LocalOutcome, Twin
from .replay.isolate import LocalMeasurement
from .replay.outermost import Outermost
from .replay.twins import LOW, Calls, Lifting, sampled, twins

if TYPE_CHECKING:
    from ..records import Array

RANK = ("rounding", "precision", "random", "meaning")
"""Causes from harmless to what matters: the worst output of a layer decides."""

EXCUSING = ("rounding", "precision")

UNSEEN = 4.0
"""How much further a layer may have moved than its sample did, to be excused by what the sample
says: of normal errors the largest of 10⁹ is 1.7 times the largest of 1,024, and no sample knows of
the one element that is something else."""


def lifting_of(
    made: Outermost, calls: Calls, pool: Mapping[str, Array], may_run_again: bool = True
) -> Lifting | str:
    """The twins of a call, or why there are none.

    may_run_again: False for code of others that nobody named, which would be seen to run twice.
    """
    if not may_run_again:
        return NOT_AGAIN
    if not any(layer.twins for _, layer in calls.values()):
        return NO_TWINS
    backward = any(layer.backward for _, layer in calls.values())
    try:
        return twins(made, calls, pool, backward, whole=True)
    except CaptureError as error:
        return f"the call fails in float64: {error.problem.splitlines()[0]}"


def with_causes(
    layers: Sequence[LocalOutcome],
    measured: Sequence[LocalMeasurement],
    calls: Calls,
    pool: Mapping[str, Array],
    lifting: Lifting | str,
) -> tuple[LocalOutcome, ...]:
    """The layers with the cause of their change, or with why there is none to tell."""
    if isinstance(lifting, str):
        return tuple(with_cause(local, None, lifting) for local in layers)
    causes: dict[str, LocalOutcome] = {}
    untold: dict[str, str] = {}
    for item in measured:
        cause = _cause(item, calls, pool, lifting)
        if isinstance(cause, str):
            untold |= {} if item.identical else {item.name: untold.get(item.name) or cause}
        else:
            worst = max(causes.get(item.name, cause), cause, key=_rank)
            k = max(causes.get(item.name, cause).k or 0.0, cause.k or 0.0)
            causes[item.name] = replace(worst, k=k)
    return tuple(
        with_cause(local, causes.get(local.name), untold.get(local.name)) for local in layers
    )


NOT_AGAIN = (
    "its model calls code that is not Keras' own, which is not run in float64, unless the test"
    " names the model"
)
NO_TWINS = "the golden has no twins of this call: recorded without, or it fails in float64"
SAMPLED = "elements outside of its twin's sample moved more than the sample can speak for"
BIASED = "it rounds as its twin allows, and is biased, which rounding is not"
ENDLESS = "what became NaN or infinite, or is no more, is no matter of rounding"


def _rank(local: LocalOutcome) -> tuple[int, float]:
    return RANK.index(str(local.cause)), local.twin.k if local.twin else 0.0


def with_cause(local: LocalOutcome, cause: LocalOutcome | None, untold: str | None) -> LocalOutcome:
    """untold: why something of the layer that moved has no cause, which nothing can excuse."""
    if local.verdict == "structure":
        return replace(local, cause="structure")
    if cause is not None and cause.cause in EXCUSING and untold is None:
        untold = _unexcused(cause, local)
    if cause is None or (cause.cause in EXCUSING and untold is not None):
        changed = local.verdict != "identical"
        return replace(local, no_cause=(untold or None) if changed else None)
    return replace(local, cause=cause.cause, twin=cause.twin)


def _unexcused(cause: LocalOutcome, local: LocalOutcome) -> str | None:
    """Why what a sample says does not hold for all of a layer that changed."""
    if local.verdict == "identical":
        return ""
    if local.verdict == "nonfinite":
        return ENDLESS
    if local.verdict == "systematic" and cause.cause == "rounding":
        # Rounding has no direction.
        return BIASED
    return None if (local.k or 0.0) <= UNSEEN * (cause.k or 0.0) else SAMPLED


def _cause(
    item: LocalMeasurement, calls: Calls, pool: Mapping[str, Array], lifting: Lifting
) -> LocalOutcome | str:
    """What made one output of a layer, or why that cannot be told: "" where the layer is not the
    one that made it, or there are not two outputs to compare."""
    twin, key = _twins_of(item, calls, lifting)
    if item.place.call not in calls or item.actual.shape != item.golden.shape:
        return ""
    if twin is None or not key:
        return _untwinned(item, calls)
    run, golden = sampled(item.actual), sampled(item.golden)
    told = by_twins(run, golden, twin, pool[key], item.precision)
    if isinstance(told, str):
        return told
    cause, figures = told
    if cause == "meaning" and item.place.call in lifting.drew:
        cause = "random"
    k = _moved(item, run, golden, _whole_twin(item, lifting))
    return LocalOutcome(item.name, item.order, "within", k=k, cause=cause, twin=figures)


def _moved(item: LocalMeasurement, run: Array, golden: Array, whole: Array | None) -> float:
    """How far the elements moved that the cause is told for, in ε: those of the sample, or all
    where the sample does not speak for them and the whole twin does."""
    eps = epsilon(item.precision)
    seen = distance(run, golden) / eps
    if whole is None:
        return seen
    furthest = distance(item.actual, item.golden) / eps
    if furthest <= UNSEEN * seen:
        return seen
    alike = errs_alike(item.actual, item.golden, whole, item.precision)
    return furthest if alike else seen


def by_twins(
    run: Array, golden: Array, twin: Array, golden_twin: Array, precision: str
) -> tuple[Cause, Twin] | str:
    """The cause and the figures behind it, or why twins tell none. run, golden: at the elements of
    the twins."""
    if golden_twin.shape != twin.shape or golden_twin.dtype.name not in MEANING:
        # Of a stranger, or of a version that samples otherwise.
        return "its twin in the golden has another form"
    cause, figures = cause_of(run, golden, twin, golden_twin, precision)
    if cause is None and isinf(figures.k):
        return "its twin in float64 is NaN or infinite, and it is not"
    if cause is None:
        return f"it computes in {figures.precision} whatever it is told, as its twin does"
    return cause, figures


def _whole_twin(item: LocalMeasurement, lifting: Lifting) -> Array | None:
    """All of the run's twin of an output of which the golden has a sample."""
    made = lifting.whole.get(item.place.call, ())
    place = item.place
    return made[place.index] if place.side == "output" and place.index < len(made) else None


def _untwinned(item: LocalMeasurement, calls: Calls) -> str:
    if calls[item.place.call][1].name != item.name and item.place.side == "output":
        return ""
    name = item.golden.dtype.name
    return "it does not compute in float64" if name in LOW else f"{name} has no higher precision"


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
