"""What a report draws beyond an outcome's numbers: read from the golden and the candidate."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compare.speech import place_of, speech
from ..errors import GoldenError
from ..outcomes import QUIET, TensorOutcome, TestOutcome
from . import tokens

if TYPE_CHECKING:
    from ..compare.sampling import Pair
    from ..store.codec import Golden

LAYERS = 64
HISTOGRAMS = 12


def draw(outcome: TestOutcome) -> Mapping[str, Any] | None:
    """Heat map, attention maps, histograms and top tokens as JSON values.

    None where nothing moved, or either file is not here any more; a file that is no golden is
    said to be so under `problem`.
    """
    paths = [Path(path) for path in (outcome.golden, outcome.candidate) if path]
    if len(paths) < 2 or not all(path.is_file() for path in paths):
        return None
    from ..store.codec import Golden

    try:
        with Golden.open(paths[0]) as golden, Golden.open(paths[1]) as run:
            return _drawn(golden, run, _comparable(outcome, golden, run))
    except GoldenError as error:
        return {"problem": error.problem}


def _comparable(outcome: TestOutcome, golden: Golden, run: Golden) -> list[TensorOutcome]:
    """Judged tensors that both files have, in one dtype and shape, in execution order."""
    comparable = []
    for tensor in sorted(outcome.tensors, key=lambda tensor: tensor.order):
        old, new = golden.header.entry(tensor.name), run.header.entry(tensor.name)
        same = old and new and (old.dtype, old.shape) == (new.dtype, new.shape)
        if tensor.judged and same:
            comparable.append(tensor)
    return comparable


def _drawn(golden: Golden, run: Golden, tensors: list[TensorOutcome]) -> Mapping[str, Any]:
    moved = [tensor for tensor in tensors if tensor.verdict != "identical"]
    return {
        "heat": _heat(golden, run, _spread(tensors, LAYERS)),
        "place": place_of(tensor.shape for tensor in tensors),
        "ulps": _histograms(golden, run, moved),
        "attention": _attention(golden, run, moved),
        "tokens": _tokens(golden, run, tensors),
    }


def _spread(tensors: list[TensorOutcome], limit: int) -> list[TensorOutcome]:
    """At most `limit` of them, evenly over depth."""
    if len(tensors) <= limit:
        return tensors
    return [tensors[place * len(tensors) // limit] for place in range(limit)]


def _heat(golden: Golden, run: Golden, tensors: list[TensorOutcome]) -> list[Any]:
    """Rows of [name, tolerance k or None, [k per position]]."""
    from ..compare.figures import by_position

    rows = []
    for tensor in tensors:
        pair = _both(golden, run, tensor)
        axis = _position_axis(tensor)
        errors = by_position(pair.actual, pair.golden, tensor.precision, axis=axis)
        if errors is not None:
            allowed = tensor.tolerance.k if tensor.tolerance else None
            rows.append([tensor.name, allowed, _rounded(errors.tolist())])
    return rows


def _position_axis(tensor: TensorOutcome) -> int:
    """Keras' attention layers hold queries, keys, values and outputs as (batch, position, head,
    feature); everything else has its positions second last."""
    by_head = tensor.kind == "attention" and _role(tensor) in {"query", "key", "value", "output"}
    return 1 if by_head and len(tensor.shape) == 4 else -2


def _role(tensor: TensorOutcome) -> str:
    """`query` of `block/attention:query@2`."""
    return re.split(r"[:/]", tensor.name)[-1].partition("@")[0]


def _histograms(golden: Golden, run: Golden, tensors: Iterable[TensorOutcome]) -> list[Any]:
    """Pairs [name, counts] of the tensors that moved most."""
    from ..compare.figures import ulp_histogram

    most = sorted(tensors, key=lambda tensor: -(tensor.k or 0.0))[:HISTOGRAMS]
    rows = []
    for tensor in sorted(most, key=lambda tensor: tensor.order):
        pair = _both(golden, run, tensor)
        counts = ulp_histogram(pair.actual, pair.golden, tensor.precision)
        if counts is not None:
            rows.append([tensor.name, counts])
    return rows


def _attention(golden: Golden, run: Golden, tensors: list[TensorOutcome]) -> Mapping[str, Any]:
    """The head that moved most, of the first attention tensor beyond its tolerance, else of the
    one that moved most."""
    from ..compare.figures import attention_map

    # Queries, keys and values have heads as well, and are no maps of anything.
    maps = [t for t in tensors if t.kind == "attention" and _role(t) == "probabilities"]
    beyond = (tensor for tensor in maps if tensor.verdict not in QUIET)
    tensor = next(beyond, max(maps, key=lambda tensor: tensor.k or 0.0, default=None))
    if tensor is None:
        return {}
    pair = _both(golden, run, tensor)
    drawn = attention_map(pair.actual, pair.golden)
    if drawn is None:
        return {}
    return {
        "name": tensor.name,
        "head": drawn.head,
        "golden": [_rounded(row) for row in drawn.golden.tolist()],
        "run": [_rounded(row) for row in drawn.run.tolist()],
        "difference": [_rounded(row) for row in drawn.difference.tolist()],
    }


def _tokens(golden: Golden, run: Golden, tensors: Iterable[TensorOutcome]) -> list[Any]:
    from ..compare.figures import top_tokens

    tables = []
    for tensor in (t for t in tensors if t.kind == "logits" and t.verdict != "identical"):
        pair = _both(golden, run, tensor)
        kept = pair.actual.shape[:-1]
        rows = tuple(_flat(pair.within(place), kept) for place in _flipped(tensor))
        for top in top_tokens(pair.actual, pair.golden, rows):
            before = [[token, _short(value)] for token, value in top.golden]
            after = [[token, _short(value)] for token, value in top.run]
            words = speech(tensor.name, tensor.shape)
            row = _said(pair.at(_places(top.row, kept)), tensor.shape[:-1])
            place = f"{words.place} {row}"
            tables.append([tensor.name, place, before, after, words.value or f"{words.answer} "])
    return tables


def _both(golden: Golden, run: Golden, tensor: TensorOutcome) -> Pair:
    """What both files have of it."""
    from ..compare.sampling import paired
    from ..records import TensorRecord

    name = tensor.name
    old, new = golden.header.entry(name), run.header.entry(name)
    assert old is not None
    assert new is not None
    record = TensorRecord(name, run.array(name), sample=new.sample, sums=run.sums(name))
    return paired(record, old, golden.array(name), None, lambda: golden.sums(name))


def _flipped(tensor: TensorOutcome) -> Iterator[tuple[int, ...]]:
    """Of each flip its row: an index per leading axis."""
    leading = len(tensor.shape) - 1
    for flip in tokens.metrics(tensor).get("flips", ()):
        position = flip.get("position")
        place = [position] if isinstance(position, int) else list(position or ())
        yield (*(0 for _ in range(leading - len(place))), *place)


def _places(row: int, leading: tuple[int, ...]) -> tuple[int, ...]:
    """A flat row number as an index per axis."""
    place: list[int] = []
    for size in reversed(leading):
        row, index = divmod(row, size)
        place.insert(0, index)
    return tuple(place)


def _said(place: tuple[int, ...] | None, leading: tuple[int, ...]) -> int | list[int]:
    """As flips say it: an index where there is one batch, else one per axis."""
    return place[-1] if place and math.prod(leading[:-1]) == 1 else list(place or ())


def _flat(place: tuple[int, ...], shape: tuple[int, ...]) -> int:
    flat = 0
    for index, size in zip(place, shape, strict=False):
        flat = flat * size + int(index)
    return flat


def _rounded(values: Iterable[float]) -> list[float]:
    return [_short(value) for value in values]


def _short(value: float) -> float:
    """Three significant digits, so that the page stays small; what is infinite is cut to 1e30."""
    return float(f"{max(-1e30, min(1e30, value)):.3g}")
