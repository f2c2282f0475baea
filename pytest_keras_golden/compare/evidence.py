"""What is known of a tensor that changed, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .attention import AttentionMetrics, attention_metrics
from .logits import LogitsMetrics, logits_metrics
from .metrics import Metrics
from .places import in_the_whole
from .sampling import Pair
from .speech import speech
from .threeway import ThreeWay, three_way

if TYPE_CHECKING:
    from ..outcomes import TensorOutcome
    from ..records import Verdict


def elementwise(metrics: Metrics, systematic: str = "fail") -> Verdict:
    """What the numbers alone say, in the order in which verdicts outrank each other."""
    if metrics.nonfinite_changed:
        return "nonfinite"
    if metrics.mismatches:
        return "drift"
    if systematic != "off" and metrics.bias is not None and metrics.bias.systematic:
        return "systematic"
    return "within"


def note_of(verdict: Verdict, metrics: Metrics, precision: str) -> str | None:
    """One sentence where numbers need words: what became NaN, how outputs are biased."""
    if verdict == "nonfinite":
        place = list(metrics.nonfinite_index or ())
        count = metrics.nonfinite_changed
        verb = "element became or ceased" if count == 1 else "elements became or ceased"
        return f"{count} {verb} to be NaN or Inf, first {place}"
    if verdict in ("systematic", "drift") and metrics.bias is not None and metrics.bias.systematic:
        return metrics.bias.sentence(precision)
    return None


@dataclass(frozen=True, slots=True)
class TensorEvidence:
    """All that is known about a tensor that changed."""

    name: str
    shape: tuple[int, ...]
    metrics: Metrics
    precision: str
    logits: LogitsMetrics | None = None
    attention: AttentionMetrics | None = None
    reference: ThreeWay | None = None

    def verdict(self, systematic: str, unstable: str | None) -> tuple[Verdict, str | None]:
        decided = elementwise(self.metrics, systematic)
        meaning = self._meaning()
        if decided == "nonfinite":
            return decided, note_of(decided, self.metrics, self.precision)
        if meaning is not None:
            return "drift", meaning
        if decided == "drift" and self.reference is not None and self.reference.passes:
            # Accuracy excuses size, never a bias.
            biased = self.metrics.bias is not None and self.metrics.bias.systematic
            decided = "systematic" if biased and systematic != "off" else "within"
        if decided != "drift" and unstable is not None:
            return "unstable", unstable
        said = [note_of(decided, self.metrics, self.precision)]
        said += [self.reference.sentence() if self.reference else None]
        said += [self.attention.sentence() if self.attention else None]
        return decided, "; ".join(part for part in said if part) or None

    def _meaning(self) -> str | None:
        """A change that no tolerance excuses: another token, attention to what is masked."""
        if self.attention is not None and self.attention.broken_mask:
            return self.attention.sentence()
        flips = self.logits.real_flips if self.logits is not None else ()
        if not flips:
            return None
        words, clearest = speech(self.name, self.shape), flips[0]
        count = f"1 {words.answer} changes" if len(flips) == 1 else ""
        return (
            f"{count or f'{len(flips)} {words.answers} change'}, most clearly at {words.place} "
            f"{clearest.position}: {words.value}{clearest.golden} → {clearest.actual} against a "
            f"margin of {clearest.margin_ulp:.3g} ULP"
        )

    def extra(self) -> Mapping[str, Any]:
        parts = (self.logits, self.attention, self.reference)
        return {k: v for part in parts if part is not None for k, v in part.to_extra().items()}


def gather(base: TensorOutcome, pair: Pair, metrics: Metrics) -> TensorEvidence:
    actual, golden, reference = pair.actual, pair.golden, pair.reference
    logits = attention = None
    if base.kind == "logits":
        logits = logits_metrics(actual, golden, base.precision, reference)
        logits = None if logits is None else in_the_whole(logits, pair)
    elif base.kind == "attention":
        every = pair.steps[-2] if len(pair.steps) > 1 else 1
        queries = None if every == 1 else (pair.shape[-2], every)
        attention = attention_metrics(actual, golden, base.precision, queries)
    against = None
    if reference is not None:
        against = three_way(actual, golden, reference, base.precision)
    return TensorEvidence(
        base.name, base.shape, metrics, base.precision, logits, attention, against
    )
