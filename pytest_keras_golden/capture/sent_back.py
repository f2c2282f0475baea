"""Which layers send other gradients back, each by itself: on the golden's inputs, for a cotangent
that is drawn by shape.

What a gradient of the whole step has gone through is every layer behind; here a layer is alone. Its
twins tell why, as for what it computes forwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..compare.isolation import badness, judge_local
from ..compare.training import BEHIND_LAYERS
from ..errors import CaptureError
from ..outcomes import LocalOutcome, is_blamed
from ..records import LayerCall
from .causes import by_twins, with_cause
from .replay.carry import SAMPLES, Nudges, Nudging
from .replay.outermost import Outermost
from .replay.pullback import STATE
from .replay.twins import Calls, Lifting, backwards

if TYPE_CHECKING:
    from ..records import Array


def changed_backwards(
    made: Outermost,
    calls: Calls,
    pool: Mapping[str, Array],
    lifting: Lifting,
    forward: Collection[LocalOutcome],
) -> tuple[LocalOutcome, ...]:
    """`backward:…` of each layer whose own gradients are not the golden's, the last layer first, as
    gradients come to them. forward: layers that changed already before anything is sent back, which
    gradients follow; of these nothing is told."""
    if not any(layer.backward for _, layer in calls.values()):
        return ()
    try:
        own = backwards(made, calls, pool)
    except CaptureError:  # the forward pass made the same call, and told
        return ()
    known = {local.name for local in forward if is_blamed(local)}
    found: list[LocalOutcome] = []
    for name, (_, layer) in sorted(calls.items(), key=_last_first):
        if layer.backward and layer.name not in known:
            sent = _Sent(layer, pool, own.get(name, {}), lifting.gradients.get(name, {}))
            found += sent.judged()
    return tuple(found)


OTHER_BATCHES = 8.0
"""How much larger than what was measured the errors are that are tried: only the first batch is
there, and in another one an element may lie as much nearer to a kink."""


def carried_backwards(
    made: Outermost,
    calls: Calls,
    pool: Mapping[str, Array],
    own: Mapping[str, LayerCall],
    own_pool: Mapping[str, Array],
    sizes: Nudges,
) -> float:
    """How far what any layer sends back is moved by what it was given, which moved by rounding: as
    relative L2, the furthest of all. A layer with a kink sends all or nothing of an element back
    that lay next to it. calls, pool: the golden's; own, own_pool: this run's, whose inputs are one
    try; sizes: of each layer's own error, which is put on with random signs. Raises CaptureError
    where the call fails the second time."""
    sent = {name: layer.backward for name, (_, layer) in calls.items() if layer.backward}
    if not sent:
        return 0.0
    both = {name: (0, own[name]) for name in sent.keys() & own.keys()}
    tries = [backwards(made, both, own_pool)]
    larger = {place: OTHER_BATCHES * size for place, size in sizes.items()}
    bare = {name: (0, replace(calls[name][1], inputs=(), outputs=())) for name in sent}
    for sample in range(SAMPLES if larger else 0):
        pulling = Lifting(bare, {}, raised=False, backward=True)
        made.again(Nudging(pulling, larger, sample))
        tries.append(pulling.gradients)
    return max(
        (
            _apart(grad, pool[sent[name][part]])
            for found in tries
            for name, parts in found.items()
            for part, grad in parts.items()
            if part in sent[name] and not _is_state(part)
        ),
        default=0.0,
    )


def _apart(one: Array, other: Array) -> float:
    if one.shape != other.shape:
        return 0.0
    with np.errstate(all="ignore"):
        a, g = (array.astype(np.float64).ravel() for array in (one, other))
        ratio = float(np.linalg.norm(a - g) / np.linalg.norm(g))
    return ratio if np.isfinite(ratio) else 0.0


def _is_state(part: str) -> bool:
    return part.startswith(STATE)


def _last_first(item: tuple[str, tuple[int, LayerCall]]) -> int:
    return -item[1][0]


@dataclass(frozen=True)
class _Sent:
    """What one layer sends back: own, twins by what the gradient is of."""

    layer: LayerCall
    pool: Mapping[str, Array]
    own: Mapping[str, Array]
    twins: Mapping[str, Array]

    def judged(self) -> Iterator[LocalOutcome]:
        """The worst of its gradients where it changed, and of its statistics whatever became of
        them: those of a step are explained by it."""
        parts = self.layer.backward.items()
        sent = [self._of(f"backward:{self.layer.name}", *p) for p in parts if not _is_state(p[0])]
        kept = [self._of(f"statistics:{self.layer.name}", *p) for p in parts if _is_state(p[0])]
        for outcomes in (sent, kept):
            if outcomes:
                worst = max(outcomes, key=lambda local: (is_blamed(local), badness(local)))
                if outcomes is kept or worst.verdict != "identical" or is_blamed(worst):
                    yield worst

    def _of(self, name: str, part: str, key: str) -> LocalOutcome:
        golden, run = self.pool[key], self.own.get(part)
        actual = [] if run is None else [run]
        local = judge_local(name, BEHIND_LAYERS, actual, [golden], self.layer.precision)
        if run is not None and run.shape == golden.shape:
            local = self._with_cause(local, part, run, golden)
        if local.note is not None or not (local.verdict != "identical" or is_blamed(local)):
            return local
        return replace(local, note=_differs(part))

    def _with_cause(
        self, local: LocalOutcome, part: str, run: Array, golden: Array
    ) -> LocalOutcome:
        twin, key = self.twins.get(part), self.layer.backward_twins.get(part)
        if twin is None or not key:
            return with_cause(local, None, "its gradients have no twins")
        told = by_twins(run, golden, twin, self.pool[key], self.layer.precision)
        if isinstance(told, str):
            return with_cause(local, None, told)
        cause, figures = told
        return with_cause(local, replace(local, cause=cause, twin=figures), None)


def _differs(part: str) -> str:
    if _is_state(part):
        return f"of the golden's inputs, it keeps another {part.removeprefix(STATE)}"
    return f"of the golden's inputs and one fixed cotangent, the gradient of {part} differs"
