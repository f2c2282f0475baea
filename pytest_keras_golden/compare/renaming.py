"""Layers of a golden beside a run's: gone, new, or the same under another name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..aliases import suggested
from ..outcomes import Names, Renamed

ROOT = "<model>"


class Seen(NamedTuple):
    """A tensor, weight or output, as far as it tells which layer it belongs to."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str


@dataclass
class _Layer:
    weights: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Seen] = field(default_factory=dict)

    @property
    def identity(self) -> Hashable:
        """Equal for layers of one content; None for one that has none."""
        if self.weights:
            return frozenset(self.weights.items())
        return frozenset((leaf, seen.digest) for leaf, seen in self.tensors.items()) or None

    @property
    def form(self) -> Hashable:
        """Equal for layers of one kind."""
        shapes = ((leaf, seen.dtype, seen.shape) for leaf, seen in self.tensors.items())
        return frozenset(self.weights), frozenset(shapes)


def names(
    golden: tuple[Mapping[str, str], Iterable[Seen]], run: tuple[Mapping[str, str], Iterable[Seen]]
) -> Names | None:
    """Match layers by content, then by shape and order; None where every name is in its place.

    golden, run: digests of weights by structural name, and tensors in execution order.
    """
    old, new = _layers(*golden), _layers(*run)
    pairs = [pair for pair in _matched(old, new) if pair.run != pair.golden]
    origins = {pair.run: pair.golden for pair in pairs}
    moved = tuple(pair for pair in pairs if _in_a_circle(pair.run, origins))
    renamed = tuple(pair for pair in pairs if pair not in moved)
    taken = {pair.golden for pair in renamed}
    gone = tuple(
        path for path in old if path not in origins.values() and _added(path, new, set(origins))
    )
    added = tuple(path for path in new if path not in origins and _added(path, old, taken))
    if not (pairs or gone or added):
        return None
    others = [path for path in new if path not in added]
    aliases = suggested({pair.run: pair.golden for pair in renamed}, others)
    aliases += [(path, f"{path}_new") for path in added if path in taken]
    return Names(renamed, moved, gone, added, tuple(aliases))


def _in_a_circle(path: str, origins: Mapping[str, str]) -> bool:
    """Whether following what each name stood for leads back to this one."""
    at = origins.get(path)
    while at is not None and at != path:
        at = origins.get(at)
    return at == path


def _added(path: str, other: Mapping[str, _Layer], taken: set[str]) -> bool:
    """A name that the other side lacks, or has for a layer that goes by another name here."""
    return path not in other or path in taken


def _layers(weights: Mapping[str, str], tensors: Iterable[Seen]) -> dict[str, _Layer]:
    """By path, in execution order as far as tensors tell it."""
    by_path: dict[str, _Layer] = {}
    for seen in tensors:
        path, leaf = _split(seen.name)
        by_path.setdefault(path, _Layer()).tensors[leaf] = seen
    # A golden holds them by name: both sides in one order.
    for name, digest in sorted(weights.items()):
        path, _, leaf = name.rpartition("/")
        by_path.setdefault(path, _Layer()).weights[leaf] = digest
    return {path: layer for path, layer in by_path.items() if path not in ("", ROOT)}


def _split(tensor: str) -> tuple[str, str]:
    """Path of the layer, and what of it: `a/b@1:query` is `:query` of the second call of `a/b`."""
    place = min((at for at in map(tensor.find, "@:[") if at > 0), default=len(tensor))
    return tensor[:place], tensor[place:]


def _matched(old: Mapping[str, _Layer], new: Mapping[str, _Layer]) -> list[Renamed]:
    """Content is a better witness than form, and each is a better one with the name in place."""
    pairs: list[Renamed] = []
    witnesses: tuple[tuple[Callable[[_Layer], Hashable], Literal["digest", "place"]], ...] = (
        (lambda layer: layer.identity, "digest"),
        (lambda layer: layer.form, "place"),
    )
    for key, by in witnesses:
        pairs += _in_place(old, new, pairs, key)
        pairs += _paired(old, new, pairs, key, by)
    return pairs


def _in_place(
    old: Mapping[str, _Layer],
    new: Mapping[str, _Layer],
    pairs: Sequence[Renamed],
    key: Callable[[_Layer], Hashable],
) -> list[Renamed]:
    runs, goldens = {pair.run for pair in pairs}, {pair.golden for pair in pairs}
    return [
        Renamed(path, path, "place")
        for path in old
        if path in new and path not in goldens | runs and key(old[path]) == key(new[path])
    ]


def _paired(
    old: Mapping[str, _Layer],
    new: Mapping[str, _Layer],
    pairs: Sequence[Renamed],
    key: Callable[[_Layer], Hashable],
    by: Literal["digest", "place"],
) -> list[Renamed]:
    """Layers that are equal by `key`, where there are as many on both sides, in order."""
    sides: dict[Hashable, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    goldens, runs = {pair.golden for pair in pairs}, {pair.run for pair in pairs}
    for path, layer in old.items():
        if path not in goldens and key(layer) is not None:
            sides[key(layer)][0].append(path)
    for path, layer in new.items():
        if path not in runs and key(layer) is not None:
            sides[key(layer)][1].append(path)
    return [
        Renamed(run, golden, by)
        for before, now in sides.values()
        if len(before) == len(now)
        for golden, run in zip(before, now, strict=True)
    ]
