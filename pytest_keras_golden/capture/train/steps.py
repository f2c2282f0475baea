"""What the first steps of a training computed, part by part, put together as records."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compare.sketch import sketched
from ...compare.training import ORDER
from ...records import TensorRecord
from ...tolerance import EPSILON
from ..record.identity import Identified
from ..record.reads import Reads
from ..replay.losses import METRICS, WHOLE, by_itself, given_in, uncounted
from ..replay.optimizers import Exercise
from ..state.weights import numeric_digest
from ..tap.precision import coarsest
from ..tap.training import TrainingSelection
from ..watch.structure import joined

if TYPE_CHECKING:
    from ...records import Array

GROUP_OF: Mapping[str, str] = {
    "data": "training",
    "applied": "gradients",
    "learning_rate": "updates",
    "given": "loss",
    "alone": "loss",
    "optimizer": "updates",
    **{part: part for part in ("random", "loss", "gradients", "slots", "updates", "metrics")},
}
"""Part of a step → group of `select`."""

_TOLD = frozenset({"data", "random", "given", "alone", "optimizer"})
"""Parts that explain what moved, and are no numbers of their own."""

_MOST_ROUNDING = 0.125
"""Share of a tensor that rounding alone may be for it to be judged."""

_OF_SIBLINGS = 4.0
"""Roundings of the largest gradient of a layer that each of its gradients may be off by: the bias
before a normalisation has a gradient of nothing but that, since its terms cancel."""

_OF_THE_GRADIENT = ("gradients", "applied", "slots", "updates")
"""Parts that are computed for each weight from its gradient."""


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Array
    precision: str
    slack: float = 0.0


@dataclass
class StepRecorder:
    """Of one optimizer, or of the evaluation of one model.

    phase: `test_` for the steps of an evaluation. most: steps that are recorded. size: elements
    that are kept of each tensor. done: steps that ran. cancelled: see `_cancellation`, the most of
    all steps. replayed: losses and metrics that are run again by themselves. exercises: optimizers
    by themselves, where they can be run so; untold: until that was asked for. again: `@1` of the
    second training of a block. left: weights after the last step of a loop by hand, each with
    its precision. programs: what was recorded of runs that have an identity.
    """

    reads: Reads
    selection: TrainingSelection
    most: int
    phase: str = ""
    size: int = 4096
    done: int = 0
    _steps: dict[int, dict[tuple[str, str], _Kept]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    cancelled: dict[str, float] = field(default_factory=dict)
    replayed: weakref.WeakValueDictionary[str, Any] = field(
        default_factory=weakref.WeakValueDictionary
    )
    exercises: dict[str, Exercise] = field(default_factory=dict)
    again: str = ""
    untold: bool = True
    left: dict[str, tuple[Array, str]] = field(default_factory=dict)
    programs: list[Identified] = field(default_factory=list)
    _ran: dict[int, Identified] = field(default_factory=dict)
    _known: dict[int, Sequence[TensorRecord]] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether the step that comes is one of those that are recorded."""
        return self.done < self.most

    def wants(self, part: str) -> bool:
        return self.selection.wants(f"{self.phase}step_000/{part}", GROUP_OF[part])

    def read(self, part: str, name: str, tensor: Any, precision: str = "") -> None:
        """Keep a tensor of the step that runs, or of each run of the program being traced."""
        if self.wanted(part, name):
            self.reads.read(tensor, self.receiver(part, name, precision))

    def receiver(self, part: str, name: str, precision: str = "") -> Callable[[Array], None]:
        return partial(self.take, part, name, precision)

    def take(self, part: str, name: str, precision: str, array: Array) -> None:
        """Of the step that runs, or of the next of one execution."""
        key = f"{part}/{name}"
        step = self.done + self._counts[key]
        self._counts[key] += 1
        self._keep(step, part, name, array, precision)

    def keep(self, part: str, name: str, array: Array, precision: str = "") -> None:
        """Of the last step that ran."""
        if self.wanted(part, name):
            self._keep(self._last, part, name, array, precision)

    def keep_update(self, name: str, before: Array, after: Array, precision: str) -> None:
        """What the last step made of a weight. The change is judged and not the weight, which
        would hide it: most of a weight is what it was. Its rounding counts on top."""
        if not self.wanted("updates", name) or self._last >= self.most:
            return
        if after.dtype.kind in "biu":
            self._keep(self._last, "updates", name, after, precision)
            return
        with np.errstate(all="ignore"):
            change = after.astype(np.float64) - before.astype(np.float64)
        kept = sketched(change.astype(_change_dtype(after)), self.size)
        rounding = _rounding(before, after, change, coarsest([precision, after.dtype.name]))
        step = self._steps.setdefault(self._last, {})
        step["updates", name] = _Kept(kept, precision, rounding)

    def ran(self, name: str, digest: str, known: Sequence[TensorRecord] | None) -> None:
        """What the step that runs is. known: what the golden has of it, where it is that one's."""
        self._ran[self.done] = Identified(name, digest)
        if known is not None:
            self._known[self.done] = known

    def stood(self, known: Sequence[TensorRecord]) -> None:
        """A step ran that is the golden's own, which has its records."""
        self._cancel(_gradients(known))
        self.advance()

    def drop(self, *parts: str) -> None:
        """What the last step computed and did not use."""
        step = self._steps.get(self._last, {})
        for key in [key for key in step if key[0] in parts]:
            del step[key]

    def abandon(self) -> None:
        """The step that was running raised: nothing of it is kept."""
        with suppress(Exception):
            self.reads.settle()
        self._counts.clear()
        for steps in (self._steps, self._known, self._ran):
            for number in [number for number in steps if number >= self.done]:
                del steps[number]

    def advance(self) -> int:
        """A step, or as many as one execution has, ran; how many."""
        ran = max(self._counts.values(), default=1)
        self.done += ran
        self._counts.clear()
        return ran

    def records(self) -> Iterator[TensorRecord]:
        """Of the steps since the last time, in the order in which parts follow from each other."""
        for number in sorted({*self._steps, *self._known}):
            known = self._known.get(number)
            if known is not None:
                self._cancel(_gradients(known))
            records = known or list(self._of_step(number))
            if number in self._ran and records:
                ran = self._ran[number]._replace(tensors=[record.name for record in records])
                self.programs.append(ran)
            yield from records
        for step in (self._steps, self._known, self._ran):
            step.clear()

    def _of_step(self, number: int) -> Iterator[TensorRecord]:
        parts = self._steps[number]
        cancelled = self._cancel(parts)
        for part, name in sorted(parts, key=lambda key: ORDER.index(key[0])):
            kept = parts[part, name]
            slack = kept.slack + _slack_of(part, name, cancelled)
            yield self._record(number, part, name, replace(kept, slack=slack))

    def _cancel(self, parts: Mapping[tuple[str, str], _Kept]) -> Mapping[str, float]:
        cancelled = _cancellation(parts)
        for name, slack in cancelled.items():
            self.cancelled[name] = max(slack, self.cancelled.get(name, 0.0))
        return cancelled

    def alone(self, records: Sequence[TensorRecord], prefix: str) -> Iterator[TensorRecord]:
        """What losses and metrics make of what they were given in these steps. records: under the
        names that they have in the block, behind its prefix."""
        values = {record.name: record.value for record in records}
        for told, arguments in given_in(values).items():
            of = self.replayed.get(told.name)
            step = told.step.removeprefix(prefix)
            if of is None or not step.startswith(f"{self.phase}step_"):
                continue
            given = {argument: values[full] for argument, full in arguments.items()}
            for what, value in by_itself(of, given, self.size).items():
                name = told._replace(step=step).alone(what)
                yield TensorRecord(name, value, judged=False)

    def exercised(self) -> Iterator[TensorRecord]:
        """What optimizers make of weights and gradients of their own; once."""
        exercises, self.exercises, self.untold = self.exercises, {}, False
        if self.selection.wants("step_000/optimizer", "updates"):
            for optimizer, exercise in exercises.items():
                for name, array in exercise.run().items():
                    full = joined(optimizer, name) + self.again
                    yield self._record(0, "optimizer", full, _Kept(array, ""))

    @property
    def _last(self) -> int:
        return max(self.done - 1, 0)

    def _record(self, number: int, part: str, name: str, kept: _Kept) -> TensorRecord:
        middle = f"/{name}" if name else ""
        judged = part not in _TOLD and may_be_judged(kept.value, kept.precision, kept.slack)
        return TensorRecord(
            f"{self.phase}step_{number:03d}/{part}{middle}",
            kept.value,
            precision=kept.precision,
            judged=judged,
            slack=float(f"{kept.slack:.1e}"),
        )

    def wanted(self, part: str, name: str) -> bool:
        return self.selection.wants(f"{self.phase}step_000/{part}/{name}", GROUP_OF[part])

    def _keep(self, step: int, part: str, name: str, array: Array, precision: str) -> None:
        if step >= self.most or (part == "given" and not _is_kept_whole(step, name, array)):
            return
        if part == "data":
            array = _fingerprint(array)
        elif part != "given":
            array = sketched(_single(array), self.size)
        self._steps.setdefault(step, {})[part, name] = _Kept(array, precision)


def _is_kept_whole(step: int, name: str, array: Array) -> bool:
    """Metrics go on from what they have seen: by itself one is given the first batch alone."""
    return array.nbytes <= WHOLE and (step == 0 or not name.startswith(METRICS))


def may_be_judged(value: Array, precision: str, slack: float) -> bool:
    """Whether rounding leaves something to be judged."""
    return slack * EPSILON.get(precision or value.dtype.name, 0.0) < _MOST_ROUNDING


def _single(array: Array) -> Array:
    """Python floats stand for float32 numbers in what steps return."""
    return array.astype(np.float32) if array.dtype == np.float64 and array.ndim == 0 else array


def _fingerprint(array: Array) -> Array:
    return np.frombuffer(bytes.fromhex(numeric_digest(array)), np.uint8)


def _wide(array: Array) -> Array:
    is_integer = array.dtype.kind in "biu"
    return array if is_integer else array.astype(np.float64)


def _change_dtype(after: Array) -> Any:
    return np.float64 if after.dtype == np.float64 else np.float32


def _rounding(before: Array, after: Array, change: Array, precision: str) -> float:
    """How far a weight's own rounding moves its change, in units of k, to two digits."""
    largest = max(float(np.abs(_wide(part)).max(initial=0.0)) for part in (before, after))
    size = _rms(change)
    own = EPSILON.get(after.dtype.name, 0.0)
    unit = EPSILON.get(precision, own)
    if not np.isfinite(size) or not np.isfinite(largest) or size == 0.0 or unit == 0.0:
        return 0.0
    return own * largest / (unit * size)


def _rms(array: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(_wide(array))))) if array.size else 0.0


def _gradients(records: Sequence[TensorRecord]) -> dict[tuple[str, str], _Kept]:
    """Those of a step, from the names that they have in a block."""
    found = ((record, record.name.partition("/gradients/")[2]) for record in records)
    return {
        ("gradients", uncounted(name)[0]): _Kept(record.value, record.precision)
        for record, name in found
        if name
    }


def _cancellation(parts: Mapping[tuple[str, str], _Kept]) -> dict[str, float]:
    """Weight → roundings, in units of k, that the cancelling of terms leaves in its gradient."""
    sizes = {name: _rms(kept.value) for (part, name), kept in parts.items() if part == "gradients"}
    largest: dict[str, float] = {}
    for name, size in sizes.items():
        layer = name.rpartition("/")[0]
        largest[layer] = max(largest.get(layer, 0.0), size)
    return {
        name: _OF_SIBLINGS * (largest[name.rpartition("/")[0]] / size - 1.0)
        for name, size in sizes.items()
        if 0.0 < size < np.inf and largest[name.rpartition("/")[0]] < np.inf
    }


def _slack_of(part: str, name: str, cancelled: Mapping[str, float]) -> float:
    if part not in _OF_THE_GRADIENT:
        return 0.0
    weight = name.rpartition("/")[0] if part == "slots" else name
    # What an optimizer makes of a gradient holds its square or its sign.
    return cancelled.get(weight, 0.0) * (1.0 if part in ("gradients", "applied") else 2.0)
