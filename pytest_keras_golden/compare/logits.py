"""Logits in the user's words: which tokens change, by what margin, and how far distributions move.

The last axis is the vocabulary, every row before it one prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .floats import epsilon
from .threeway import FACTOR

if TYPE_CHECKING:
    from ..records import Array

    _Rows = npt.NDArray[np.float64]

CHUNK = 1 << 18
TIE_ULPS = 2.0
"""Margin between two logits, on both sides, that decides nothing at their precision: each logit is
rounded by up to half an ULP on its own, and once more upstream."""
TIE_ERRORS = 6.4
"""With a reference: the true margin that decides nothing, in units of the rms error of that row,
the golden's or the run's. The difference of two logits has √2 times the error of one; 4.5 standard
deviations of it are reached once in 150,000 rows. Of some 100 flips by harmless changes of bfloat16
decoders one was beyond 4 (benchmarks/detection.py --draws)."""
LISTED = 20
TOP = 5


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose most likely token changed. position: index of the row, an int where there is one
    batch. margin_ulp: how far the golden's token led the run's, in ULPs of the precision at that
    logit. reference_margin_ulp: the same in the reference, negative where that has the run's token;
    error_ulp: rms error of the row against it, of the golden or the run. tie: no margin is more
    than rounding decides."""

    position: int | tuple[int, ...]
    golden: int
    actual: int
    margin_ulp: float
    run_margin_ulp: float
    reference_margin_ulp: float | None = None
    error_ulp: float = 0.0

    @property
    def tie(self) -> bool:
        if max(self.margin_ulp, self.run_margin_ulp) <= TIE_ULPS:
            return True
        decided = max(TIE_ULPS, TIE_ERRORS * self.error_ulp)
        true = self.reference_margin_ulp
        return true is not None and abs(true) <= decided

    def to_extra(self) -> dict[str, Any]:
        position = self.position if isinstance(self.position, int) else list(self.position)
        return {
            "position": position,
            "golden": self.golden,
            "actual": self.actual,
            "margin_ulp": self.margin_ulp,
            "reference_margin_ulp": self.reference_margin_ulp,
            "tie": self.tie,
        }


@dataclass(frozen=True, slots=True)
class LogitsMetrics:
    """kl: mean over rows of KL(golden‖run) in nats, kl_max the largest. top1: share of rows whose
    first token agrees; top5: mean share of the golden's five first tokens that are among the run's
    five. _Rows with non-finite logits beyond -inf masks are left out of all."""

    rows: int
    kl: float
    kl_max: float
    top1: float
    top5: float
    flips: tuple[Flip, ...] = ()

    @property
    def real_flips(self) -> tuple[Flip, ...]:
        """Those beyond a tie, the one with the largest margin first: it is told of all."""
        real = (flip for flip in self.flips if not flip.tie)
        return tuple(sorted(real, key=lambda flip: -flip.margin_ulp))

    def to_extra(self) -> dict[str, Any]:
        """For `TensorOutcome.extra`; at most 20 flips are listed, the real ones first."""
        ties = sorted((f for f in self.flips if f.tie), key=lambda flip: -flip.margin_ulp)
        listed = [*self.real_flips, *ties][:LISTED]
        return {
            "rows": self.rows,
            "kl": self.kl,
            "kl_max": self.kl_max,
            "top1": self.top1,
            "top5": self.top5,
            "flips": [flip.to_extra() for flip in listed],
            "flips_real": len(self.real_flips),
            "flips_tie": len(self.flips) - len(self.real_flips),
        }


def unchanged(shape: tuple[int, ...]) -> LogitsMetrics:
    """Metrics of logits that are bit for bit the golden's."""
    return LogitsMetrics(math.prod(shape[:-1]), 0.0, 0.0, 1.0, 1.0)


def logits_metrics(
    actual: Array, golden: Array, precision: str = "", reference: Array | None = None
) -> LogitsMetrics | None:
    """Compare logits (…, vocabulary) of one shape; None where there is no vocabulary axis or no
    row. precision: whose ULPs count; "" is the dtype's own. reference: the same logits in higher
    precision, which tell what the golden's own rounding decides."""
    if golden.ndim == 0 or golden.shape[-1] < 2 or golden.size == 0:
        return None
    eps = epsilon(precision or golden.dtype.name)
    leading, width = golden.shape[:-1], golden.shape[-1]
    true = None if reference is None else reference.reshape(-1, width)
    kls, top5s, flips = [], [], []
    with np.errstate(all="ignore"):
        for start, a, g in _chunks(actual.reshape(-1, width), golden.reshape(-1, width)):
            kept = ~(_unusable(a) | _unusable(g))
            kls.append(_divergence(a, g)[kept])
            top5s.append(_overlap(a, g)[kept])
            for row in _flipped(a, g, kept):
                flip = _flip(a, g, row, start, leading, eps)
                flips.append(
                    flip if true is None else _against(flip, a[row], g[row], true[start + row], eps)
                )
    kl, top5 = np.concatenate(kls), np.concatenate(top5s)
    counted = max(1, kl.size)
    return LogitsMetrics(
        rows=math.prod(leading),
        kl=float(kl.sum()) / counted,
        kl_max=float(kl.max(initial=0.0)),
        top1=1.0 - len(flips) / counted,
        top5=float(top5.sum()) / counted if kl.size else 1.0,
        flips=tuple(flips),
    )


def _chunks(actual: Array, golden: Array) -> Iterator[tuple[int, _Rows, _Rows]]:
    count = max(1, CHUNK // golden.shape[1])
    for start in range(0, golden.shape[0], count):
        a, g = actual[start : start + count], golden[start : start + count]
        yield start, a.astype(np.float64), g.astype(np.float64)


def _unusable(rows: _Rows) -> npt.NDArray[np.bool_]:
    # -inf forbids a token and is fine; NaN, inf or nothing but -inf is no distribution.
    wrong: npt.NDArray[np.bool_] = ~np.isfinite(rows.max(axis=1))
    return wrong


def _divergence(actual: _Rows, golden: _Rows) -> _Rows:
    log_p, log_q = _log_softmax(golden), _log_softmax(actual)
    p = np.exp(log_p)
    terms = np.where(p > 0, p * (log_p - log_q), 0.0)
    result: _Rows = np.maximum(0.0, terms.sum(axis=1))
    return result


def _log_softmax(rows: _Rows) -> _Rows:
    shifted = rows - rows.max(axis=1, keepdims=True)
    result: _Rows = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _overlap(actual: _Rows, golden: _Rows) -> _Rows:
    """Share of the golden's first tokens that the run has too; equal logits are interchangeable,
    so a run's token counts when its golden logit reaches the golden's fifth."""
    count = min(TOP, golden.shape[1])
    chosen = np.argpartition(-actual, count - 1, axis=1)[:, :count]
    fifth = np.partition(golden, -count, axis=1)[:, -count]
    kept = np.take_along_axis(golden, chosen, axis=1) >= fifth[:, None]
    result: _Rows = kept.mean(axis=1)
    return result


def _flipped(actual: _Rows, golden: _Rows, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    return np.flatnonzero((actual.argmax(axis=1) != golden.argmax(axis=1)) & kept)


def _flip(
    actual: _Rows, golden: _Rows, row: int, start: int, leading: tuple[int, ...], eps: float
) -> Flip:
    before, after = int(golden[row].argmax()), int(actual[row].argmax())
    place = tuple(int(part) for part in np.unravel_index(start + row, leading or (1,)))
    single = math.prod(leading[:-1]) == 1
    return Flip(
        position=place[-1] if single else place,
        golden=before,
        actual=after,
        margin_ulp=_margin(golden[row], before, after, eps),
        run_margin_ulp=_margin(actual[row], after, before, eps),
    )


def _against(flip: Flip, actual: _Rows, golden: _Rows, reference: Array, eps: float) -> Flip:
    """The flip beside what the reference says of its two tokens."""
    true = reference.astype(np.float64)
    ulp = _ulp(golden, flip.golden, flip.actual, eps)
    usable = np.isfinite(true) & np.isfinite(golden) & np.isfinite(actual)
    if not (ulp and usable[[flip.golden, flip.actual]].all()):
        return flip
    return replace(
        flip,
        reference_margin_ulp=float(true[flip.golden] - true[flip.actual]) / ulp,
        error_ulp=_error(actual[usable], golden[usable], true[usable]) / ulp,
    )


def _error(actual: _Rows, golden: _Rows, true: _Rows) -> float:
    """Rms error of the golden's row or of the run's, which may round as much worse as the three-way
    rule lets it."""
    before, after = (math.sqrt(float(np.square(row - true).mean())) for row in (golden, actual))
    return min(max(before, after), FACTOR * before)


def _margin(row: _Rows, first: int, second: int, eps: float) -> float:
    """By how many ULPs of the larger magnitude `first` leads `second`."""
    ulp = _ulp(row, first, second, eps)
    if not math.isfinite(ulp):
        return math.inf
    return float(row[first] - row[second]) / ulp if ulp else 0.0


def _ulp(row: _Rows, first: int, second: int, eps: float) -> float:
    largest = max(abs(float(row[first])), abs(float(row[second])))
    if not math.isfinite(largest) or largest == 0.0:
        return largest
    return eps * 2.0 ** math.floor(math.log2(largest))
