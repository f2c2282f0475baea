"""Outcomes as rows and counts: what a renderer shows, decided once, without any text layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .. import outcomes
from ..outcomes import QUIET, LocalOutcome, TensorOutcome, TestOutcome
from .wording import severity, worst

MAX_ROWS = 28
"""A table longer than this no longer fits a screen; runs of the same kind collapse to reach it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor, one layer that moved by itself, or both where they are the same call."""

    name: str
    verdict: str
    tensor: TensorOutcome | None
    local: LocalOutcome | None
    first: bool = False
    blamed: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring rows told as one line. `tensors` counts verdicts; layers that are no tensor are
    counted apart, those with local drift in `blamed` and the others in `moved`."""

    tensors: Mapping[str, int]
    blamed: int
    moved: int
    first: str
    last: str


def tensor_counts(outcomes: Iterable[TestOutcome]) -> Counter[str]:
    """Verdict → number of judged tensors."""
    return Counter(
        tensor.verdict for outcome in outcomes for tensor in outcome.tensors if tensor.judged
    )


def verdict_of(outcome: TestOutcome) -> str:
    """One word for a test: its most severe verdict, or what pytest made of it.

    A failed test whose tensors all hold takes the verdict of the layers blamed on golden inputs;
    without any it is `failed`.
    """
    if outcome.outcome in {"recorded", "skipped", "xfailed", "error"}:
        return outcome.outcome
    verdict = worst(tensor.verdict for tensor in outcome.tensors if tensor.judged)
    if outcome.outcome == "failed" and (verdict is None or verdict in QUIET):
        layer = worst(layer.verdict for layer in blamed(outcome))
        # Blamed for its cause: a change of meaning may be smaller than one rounding.
        return "drift" if layer in QUIET else layer or "failed"
    return verdict or outcome.outcome


def compared(outcomes: Iterable[TestOutcome]) -> list[TestOutcome]:
    """Without the tests that automatic capture watched and that called no Keras model, or that
    ended before anything of them was compared: pytest tells of those."""
    return [o for o in outcomes if verdict_of(o) != "passed" and not _is_pytests(o)]


def _is_pytests(outcome: TestOutcome) -> bool:
    """A test that failed, was skipped and so on before anything of it was compared, and that nobody
    asked to be."""
    ours = outcome.tensors or outcome.stack or outcome.outcome == "recorded"
    return not outcome.asked and not ours


def verdict_counts(outcomes: Iterable[TestOutcome]) -> Counter[str]:
    return Counter(map(verdict_of, outcomes))


def blamed(outcome: TestOutcome) -> tuple[LocalOutcome, ...]:
    """The layers with local drift, in execution order."""
    names = set(outcome.local_drift)
    return tuple(sorted((x for x in outcome.locals if x.name in names), key=lambda x: x.order))


def strain(tensor: TensorOutcome) -> float:
    """How much of its tolerance a tensor uses: 1 is the limit, above is drift; 0 where unknown."""
    if tensor.k is None or tensor.tolerance is None or not tensor.tolerance.k:
        return 0.0
    return tensor.k / tensor.tolerance.k


def first_drift(outcome: TestOutcome) -> TensorOutcome | None:
    """The tensor that `outcome.first_drift` names; of logs that name none, the first that moved."""
    name = outcome.first_drift or outcomes.first_drift(outcome.tensors)
    return next((tensor for tensor in outcome.tensors if tensor.name == name), None)


def changed(outcome: TestOutcome) -> tuple[LocalOutcome, ...]:
    """The layers whose own output moved on golden inputs, blamed or only by rounding, in order."""
    moved = (x for x in outcome.locals if x.verdict != "identical" or x.cause is not None)
    return tuple(sorted(moved, key=lambda layer: layer.order))


def accuracy(outcome: TestOutcome) -> Counter[str]:
    """better, equal, worse → number of tensors, against their references in higher precision."""
    references = (tensor.extra.get("reference") for tensor in outcome.tensors if tensor.judged)
    return Counter(str(item["accuracy"]) for item in references if isinstance(item, Mapping))


def rows(outcome: TestOutcome) -> tuple[Row, ...]:
    """Every judged tensor, and every layer that moved by itself, in execution order."""
    tensors = sorted((t for t in outcome.tensors if t.judged), key=lambda t: t.order)
    layers = {layer.name: layer for layer in outcome.locals}
    names = {tensor.name for tensor in tensors}
    guilty = set(outcome.local_drift)
    first = first_drift(outcome)
    placed = [
        (place, Row(t.name, t.verdict, t, layers.get(t.name), t is first))
        for place, t in zip(positions(tensors, outcome.locals), tensors, strict=True)
    ]
    placed += [
        ((layer.order, 0, 0), Row(layer.name, layer.verdict, None, layer))
        for layer in changed(outcome)
        if layer.name not in names
    ]
    placed.sort(key=lambda pair: pair[0])
    return tuple(replace(row, blamed=row.name in guilty) for _, row in placed)


def positions(
    tensors: Sequence[TensorOutcome], layers: Sequence[LocalOutcome]
) -> list[tuple[int, int, int]]:
    """Where each tensor stands among the calls, as sort keys; a call's own is (order, 0, 0).

    Tensors and calls are numbered apart, so a tensor stands after the call whose name it has or
    begins with, queries, keys and values before the attention core; one of no call stays behind
    the tensor before it.
    """
    orders = _orders(layers)
    keys: list[tuple[int, int, int]] = []
    reached = (-1, 0)
    for place, tensor in enumerate(tensors):
        reached = max(reached, _call_order(tensor.name, orders))
        keys.append((*reached, place))
    return keys


def _orders(layers: Sequence[LocalOutcome]) -> dict[str, int]:
    """Call → order; a composite that is no call itself stands with its last part."""
    orders: dict[str, int] = {}
    for layer in layers:
        parts = layer.name.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            orders[parent] = max(layer.order, orders.get(parent, 0))
    return orders | {layer.name: layer.order for layer in layers}


def _call_order(name: str, orders: Mapping[str, int]) -> tuple[int, int]:
    if name in orders:
        return orders[name], 1
    base, _, part = name.partition(":")
    if f"{base}:core" in orders:
        return orders[f"{base}:core"], -1 if part in {"query", "key", "value"} else 1
    while base and base not in orders:
        base = base.rpartition("/")[0]
    return orders.get(base, -1), 1


def collapsed(every: Sequence[Row], limit: int = MAX_ROWS) -> tuple[Row | Stretch, ...]:
    """The rows that matter, with the runs between them told as one line each.

    First only harmless tensors are collapsed; where the rest is still longer than `limit`, so are
    layers that moved by rounding, then inherited drift, then all but the first and last of what
    is left.
    """
    for kept in (_loud, _verdict_is_loud, _local_or_special):
        chosen = [kept(row) or place == len(every) - 1 for place, row in enumerate(every)]
        shown = _collapse(every, chosen)
        if len(shown) <= limit:
            return shown
    return _collapse(every, _ends(every, chosen, limit))


def _loud(row: Row) -> bool:
    return row.first or row.blamed or row.verdict not in QUIET or row.tensor is None


def _verdict_is_loud(row: Row) -> bool:
    return row.first or row.blamed or row.verdict not in QUIET


def _local_or_special(row: Row) -> bool:
    special = severity(row.verdict) > severity("drift")
    return row.first or row.blamed or special or (row.tensor is not None and _is_logits(row.tensor))


def _is_logits(tensor: TensorOutcome) -> bool:
    return tensor.kind == "logits"


def _ends(every: Sequence[Row], chosen: Sequence[bool], limit: int) -> list[bool]:
    places = [place for place, keep in enumerate(chosen) if keep]
    head = limit // 5
    kept = {*places[:head], *places[-3:]}
    kept |= {place for place, row in enumerate(every) if row.first}
    strains = [0.0 if row.tensor is None else strain(row.tensor) for row in every]
    kept.add(strains.index(max(strains)))
    return [place in kept for place in range(len(every))]


def _collapse(every: Sequence[Row], chosen: Sequence[bool]) -> tuple[Row | Stretch, ...]:
    shown: list[Row | Stretch] = []
    pending: list[Row] = []
    for row, keep in zip(every, chosen, strict=True):
        if not keep:
            pending.append(row)
            continue
        shown += _told(pending)
        pending = []
        shown.append(row)
    return (*shown, *_told(pending))


def _told(pending: Sequence[Row]) -> list[Row | Stretch]:
    if len(pending) < 2:
        return list(pending)
    counts = Counter(row.verdict for row in pending if row.tensor is not None)
    layers = [row for row in pending if row.tensor is None]
    guilty = sum(row.blamed for row in layers)
    return [Stretch(counts, guilty, len(layers) - guilty, pending[0].name, pending[-1].name)]


def worst_first(outcomes: Iterable[TestOutcome]) -> list[TestOutcome]:
    """The tests that need a reader, most severe first; recorded and quiet ones left out."""
    quiet = {*QUIET, "recorded", "skipped", "xfailed", "passed"}
    loud = [outcome for outcome in outcomes if verdict_of(outcome) not in quiet]
    return sorted(loud, key=lambda o: -severity(verdict_of(o)))
