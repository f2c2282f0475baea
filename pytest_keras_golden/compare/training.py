"""Whether rounding earlier in a training explains what moved later in it.

A training carries roundings on, and an optimizer that divides by the size of a gradient makes much
of them in elements whose gradient is next to nothing. So behind a tensor that moved by rounding, an
element may be beyond its tolerance while the tensor as a whole is not: relative L2 then decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..outcomes import QUIET, LocalOutcome, TensorOutcome, is_blamed
from .floats import epsilon

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..records import Array, TensorRecord

    _Wide = npt.NDArray[np.float64]

ORDER = (
    *("data", "random", "given", "alone", "optimizer", "loss", "gradients", "applied"),
    *("learning_rate", "slots", "updates", "metrics"),
)
"""Parts of a step, each computed from those before it."""

BEHIND_LAYERS = 1 << 20
"""Order of a component of a step among the layers that are to blame."""

FACTOR = 4.0
"""Relative L2, in units of the tolerance's k·ε, that inherited rounding may reach. Between Keras
3.9.2 and 3.13.2 (torch, a small transformer, Adam, float32) it reached 1.2, in the update of a step
whose gradients moved by at most 0.3; a rate that is one per cent larger is at 1,000."""

FACTOR_OF_UPDATES = 8.0
"""The same of what an optimizer makes of gradients, where by itself it is what it was: an element
whose gradient is next to nothing goes the other way, as far as any other. In bfloat16 such elements
were 20 % of an update (torch, a perceptron with Adam, sums split in two), 5.2 times k·ε."""

_STEP = re.compile(r"(?:.*/)?((?:test_)?step_\d+/[a-z_]+)(?:/.*)?|(?:.*/)?(curve|weights)/.*", re.S)


def part_of(name: str) -> str | None:
    """`step_000/gradients` of a tensor of training; None of any other, a decoding step's too."""
    match = _STEP.fullmatch(name)
    part = (match[1] or match[2]) if match else None
    known = part is not None and part.rpartition("/")[2] in (*ORDER, "curve", "weights")
    return part if known else None


class Held(Protocol):
    """A golden, as far as it is needed here."""

    def has(self, name: str) -> bool: ...
    def array(self, name: str) -> Array: ...


@dataclass(frozen=True)
class StepEvidence:
    """What can be looked up about steps that moved. run: its tensors by name. sent: how far
    rounding of what layers were given moves what they send back, as relative L2, the furthest."""

    golden: Held | None = None
    run: Mapping[str, TensorRecord] = field(default_factory=dict)
    sent: float = 0.0

    def flipped(self, update: str) -> float:
        """How far an optimizer may move the update of that name, as relative L2, since it may
        divide a gradient by its size: one that moved by its own size may go the other way."""
        part = part_of(update) or ""
        gradient = update.replace(part, part.replace("updates", "gradients"), 1)
        arrays = [array for name in (gradient, update) for array in self._both(name)]
        if len({array.shape for array in arrays}) != 1 or len(arrays) != 4:
            return 0.0
        return _flipped(*(array.astype(np.float64) for array in arrays))

    def _both(self, name: str) -> Iterator[Array]:
        if self.golden is not None and self.golden.has(name) and name in self.run:
            yield self.golden.array(name)
            yield self.run[name].value


def _flipped(before: _Wide, now: _Wide, made: _Wide, makes: _Wide) -> float:
    with np.errstate(all="ignore"):
        share = np.nan_to_num(np.abs(now - before) / np.abs(before), nan=0.0, posinf=1.0)
        reached = 2.0 * np.minimum(1.0, share) * np.maximum(np.abs(made), np.abs(makes))
        ratio = np.linalg.norm(reached.ravel()) / np.linalg.norm(made.ravel())
    return float(ratio) if np.isfinite(ratio) else 0.0


def inherited(
    tensors: Iterable[TensorOutcome],
    components: Iterable[LocalOutcome] = (),
    evidence: StepEvidence | None = None,
) -> frozenset[str]:
    """Names of tensors, given in order of time, that are beyond their tolerance by no more than
    the rounding of what they were computed from. components: layers and components of the step
    that were run by themselves."""
    steps = [tensor for tensor in tensors if part_of(tensor.name) is not None]
    carrying = _Carrying.of(steps, components, evidence or StepEvidence())
    excused: set[str] = set()
    for _, group in groupby(steps, lambda tensor: part_of(tensor.name)):
        judged = [tensor for tensor in group if tensor.judged]
        quiet = {*QUIET, "accumulated"}
        loud = [tensor for tensor in judged if tensor.verdict not in quiet]
        if not all(map(carrying.explains, loud)):
            break
        excused |= {tensor.name for tensor in loud}
        carrying.takes(judged)
    return frozenset(excused)


def unchanged(components: Iterable[LocalOutcome]) -> frozenset[str]:
    """Names of those that are what they were, in whatever call of a block."""
    return frozenset(one.name.partition("@")[0] for one in components if not is_blamed(one))


@dataclass
class _Carrying:
    """trained: weights that have gradients. unchanged: names of components that are what they
    were, by themselves. whole: whether all are that were looked at. moved: whether anything has;
    statistics: how far what layers keep of batches has, as relative L2, and stepped: the updates of
    steps before, which take those behind them as far off."""

    trained: frozenset[str]
    unchanged: frozenset[str]
    whole: bool
    evidence: StepEvidence
    moved: bool = False
    statistics: float = 0.0
    stepped: float = 0.0

    @classmethod
    def of(
        cls,
        steps: Iterable[TensorOutcome],
        components: Iterable[LocalOutcome],
        evidence: StepEvidence,
    ) -> _Carrying:
        gradients = (tensor for tensor in steps if "/gradients/" in tensor.name)
        looked = list(components)
        return cls(
            frozenset(_weight(tensor.name) for tensor in gradients),
            unchanged(looked),
            not any(map(is_blamed, looked)),
            evidence,
        )

    def explains(self, tensor: TensorOutcome) -> bool:
        limit = tensor.tolerance.k if tensor.tolerance is not None else None
        # A loss may come to the same bits though what layers are given moved.
        moved = self.moved or self.evidence.sent > 0.0
        if not moved or tensor.verdict not in ("drift", "systematic"):
            return False
        if self._is_statistic(tensor):
            return True
        if limit is None or tensor.rel_l2 is None:
            return False
        part = _part(tensor)
        factor = FACTOR_OF_UPDATES if part in _OF_OPTIMIZER and self._same_optimizer else FACTOR
        own = factor * limit * epsilon(tensor.precision)
        return tensor.rel_l2 <= max(own, self._reach(tensor, part))

    def _reach(self, tensor: TensorOutcome, part: str) -> float:
        """How far, beyond rounding, what was measured of the step carries a tensor."""
        if part in _OF_STATISTICS:
            return self.statistics
        if not (self.whole and self._same_optimizer) or part not in _OF_GRADIENTS:
            return 0.0
        sent = FACTOR * self.evidence.sent if self._is_same("loss:") else 0.0
        # A slot may hold squares.
        carried = max(sent, self.stepped) * (2.0 if part == "slots" else 1.0)
        if part != "updates":
            return carried
        return max(carried, self.evidence.flipped(tensor.name))

    def takes(self, judged: Iterable[TensorOutcome]) -> None:
        for tensor in judged:
            self.moved = self.moved or tensor.verdict != "identical"
            if self._is_statistic(tensor):
                self.statistics = max(self.statistics, tensor.rel_l2 or 0.0)
            elif _part(tensor) == "updates":
                self.stepped = max(self.stepped, tensor.rel_l2 or 0.0)

    @property
    def _same_optimizer(self) -> bool:
        return self._is_same("optimizer:")

    def _is_same(self, kind: str) -> bool:
        """Whether one of that kind could be run by itself."""
        return any(name.startswith(kind) for name in self.unchanged)

    def _is_statistic(self, tensor: TensorOutcome) -> bool:
        """What a layer keeps of batches, which by itself it does as before: a weight before a
        normalisation, whose gradient is rounding alone, is moved by an optimizer as far as any
        other, and the mean of what it is added to with it."""
        weight = _weight(tensor.name)
        if _part(tensor) not in ("updates", "weights") or weight in self.trained:
            return False
        return f"statistics:{weight.rpartition('/')[0]}" in self.unchanged


_OF_OPTIMIZER = ("applied", "slots", "updates", "weights")
_OF_GRADIENTS = ("gradients", *_OF_OPTIMIZER)
_OF_STATISTICS = ("loss", "metrics", "curve")


def _part(tensor: TensorOutcome) -> str:
    return (part_of(tensor.name) or "").rpartition("/")[2]


def _weight(name: str) -> str:
    """`norm/beta` of `step_000/updates/norm/beta`."""
    return name.partition(f"{part_of(name)}/")[2]
