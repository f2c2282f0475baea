"""Outcomes as rows and counts: what a renderer shows, decided once, without any text layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..outcomes import LocalOutcome, TensorOutcome, TestOutcome
from .wording import severity, worst

QUIET = frozenset({"identical", "within"})
MAX_ROWS = 28
"""A table longer than this no longer fits a screen; runs of the same kind collapse to reach it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor, one layer that isolation blames, or both where they are the same call."""

    name: str
    verdict: str
    tensor: TensorOutcome | None
    local: LocalOutcome | None
    first: bool = False
    blamed: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring rows told as one line. `tensors` counts verdicts; blamed layers apart."""

    tensors: Mapping[str, int]
    layers: int
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
    found = worst(tensor.verdict for tensor in outcome.tensors if tensor.judged)
    if outcome.outcome == "failed" and (found is None or found in QUIET):
        return worst(layer.verdict for layer in blamed(outcome)) or "failed"
    return found or outcome.outcome


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


def rows(outcome: TestOutcome) -> tuple[Row, ...]:
    """Every judged tensor, and every blamed layer that is no tensor, in execution order."""
    tensors = sorted((t for t in outcome.tensors if t.judged), key=lambda t: t.order)
    guilty = {layer.name for layer in blamed(outcome)}
    layers = {layer.name: layer for layer in outcome.locals}
    names = {tensor.name for tensor in tensors}
    placed = list(zip(_positions(tensors, outcome.locals), map(_tensor_row, tensors), strict=True))
    placed += [
        ((layer.order, 0, 0), Row(layer.name, layer.verdict, None, layer))
        for layer in outcome.locals
        if layer.name in guilty and layer.name not in names
    ]
    placed.sort(key=lambda pair: pair[0])
    return tuple(
        Row(
            row.name,
            row.verdict,
            row.tensor,
            layers.get(row.name),
            row.name == outcome.first_drift,
            row.name in guilty,
        )
        for _, row in placed
    )


def _tensor_row(tensor: TensorOutcome) -> Row:
    return Row(tensor.name, tensor.verdict, tensor, None)


def _positions(
    tensors: Sequence[TensorOutcome], layers: Sequence[LocalOutcome]
) -> list[tuple[int, int, int]]:
    """Where each tensor stands among the calls, as sort keys.

    Tensors and calls are numbered apart, so a tensor stands right after the call whose name it
    has or begins with; one of no call stays behind the tensor before it.
    """
    orders = {layer.name: layer.order for layer in layers}
    composites: dict[str, int] = {}
    for layer in layers:
        parts = layer.name.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            composites[parent] = max(layer.order, composites.get(parent, 0))
    keys: list[tuple[int, int, int]] = []
    reached = -1
    for place, tensor in enumerate(tensors):
        reached = max(reached, _call_order(tensor.name, orders, composites))
        keys.append((reached, 1, place))
    return keys


def _call_order(name: str, orders: Mapping[str, int], composites: Mapping[str, int]) -> int:
    if name in composites:
        return composites[name]
    parts = name.split("/")
    for end in range(len(parts), 0, -1):
        order = orders.get("/".join(parts[:end]))
        if order is not None:
            return order
    return -1


def collapsed(every: Sequence[Row], limit: int = MAX_ROWS) -> tuple[Row | Run, ...]:
    """The rows that matter, with the runs between them told as one line each.

    First only the harmless are collapsed; where the rest is still longer than `limit`, so is
    inherited drift; then all but the first and last of what is left.
    """
    for kept in (_loud, _local_or_special):
        chosen = [kept(row) or place == len(every) - 1 for place, row in enumerate(every)]
        shown = _collapse(every, chosen)
        if len(shown) <= limit:
            return shown
    return _collapse(every, _ends(every, chosen, limit))


def _loud(row: Row) -> bool:
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


def _collapse(every: Sequence[Row], chosen: Sequence[bool]) -> tuple[Row | Run, ...]:
    shown: list[Row | Run] = []
    pending: list[Row] = []
    for row, keep in zip(every, chosen, strict=True):
        if not keep:
            pending.append(row)
            continue
        shown += _told(pending)
        pending = []
        shown.append(row)
    return (*shown, *_told(pending))


def _told(pending: Sequence[Row]) -> list[Row | Run]:
    if len(pending) < 2:
        return list(pending)
    counts = Counter(row.verdict for row in pending if row.tensor is not None)
    layers = sum(row.tensor is None for row in pending)
    return [Run(counts, layers, pending[0].name, pending[-1].name)]


def worst_first(outcomes: Iterable[TestOutcome]) -> list[TestOutcome]:
    """The tests that need a reader, most severe first; recorded and quiet ones left out."""
    loud = [o for o in outcomes if verdict_of(o) not in {*QUIET, "recorded", "skipped", "xfailed"}]
    return sorted(loud, key=lambda o: -severity(verdict_of(o)))
