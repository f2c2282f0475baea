"""An atlas as a Markdown page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from history import POLICIES
from history.changes import Change

ORDER = (
    "meaning",
    "precision",
    "semantic",
    "nonfinite",
    "systematic",
    "structure",
    "broken",
    "repaired",
    "rounding",
    "rounding, untold",
)

HEAD = (
    "| {subject} | cause | where | largest k (relative L2) | error against twin | commit | |\n"
    "|---|---|---|---|---|---|---|"
)

LAYERS_HEAD = """# What changed numerically in Keras' layers, release by release

Written by `make atlas` ({span}; {backends} on CPU).
Each row is a layer of `keras.layers` whose output changed between two neighbouring releases on the
same inputs and the same weights, unit-scale inputs, eager, every other package unchanged, with the
[cause](explanation/causes.md) that its twins tell: what both releases compute of the same inputs in
float64.

- **meaning**: the twins differ: another formula, constant, default or mask.
- **precision**: the twins agree, and the error against them is another: casts, the precision of a
  sum or a statistic.
- **rounding**: the twins agree and so do the errors: another order of summation, another kernel.
- **structure**: another shape or dtype. **broken**, **repaired**: the call raises in the newer, or
  did in the older release.
- **semantic**, **systematic**, **nonfinite**, **rounding, untold**: what the layer's own numbers
  say where it has no twins: beyond its tolerance, within it but biased, not finite, within it.

k is the largest error in units of ε·(|golden| + rms), ε = 2⁻²³ for float32, 2⁻¹⁰ for float16 and
2⁻⁷ for bfloat16. A commit is the first whose output has the change with this cause."""


@dataclass(frozen=True)
class Atlas:
    """head: with places for {span} and {backends}. subject: what a case is. note: of one change,
    what else there is to say of it."""

    head: str
    subject: str
    policies: Sequence[str]
    note: Callable[[Change], str | None]


def note_of(change: Change) -> str | None:
    return change.note or (change.local.note if change.local else None)


LAYERS = Atlas(LAYERS_HEAD, "layer", POLICIES, note_of)


@dataclass(frozen=True)
class Row:
    """Changes of one case between two releases that have one cause, at any precision."""

    cause: str
    all: tuple[Change, ...]
    atlas: Atlas

    def cells(self) -> tuple[str, ...]:
        where = {
            policy: "+".join(c.backend for c in self.all if c.policy == policy)
            for policy in self.atlas.policies
        }
        said = [f"{policy}: {backends}" for policy, backends in where.items() if backends]
        return (
            self.all[0].case,
            self.cause,
            "; ".join(said),
            ", ".join(self._sizes()),
            self._accuracy(),
            ", ".join(dict.fromkeys(c.commit for c in self.all if c.commit)),
            self._note(),
        )

    def _sizes(self) -> Iterator[str]:
        for policy in self.atlas.policies:
            ks = [c.local for c in self.all if c.policy == policy and c.local and c.local.k]
            if ks:
                worst = max(ks, key=lambda local: local.k or 0.0)
                yield f"{worst.k:.3g} ε ({worst.rel_l2:.1e})"

    def _accuracy(self) -> str:
        twins = [c.twin for c in self.all if c.twin is not None]
        if self.cause != "precision" or not twins:
            return ""
        words = dict.fromkeys(twin.accuracy for twin in twins)
        low, high = (pick(twin.ratio for twin in twins) for pick in (min, max))
        times = f"× {low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"× {low:.2g} to {high:.2g}"
        return f"{times} ({', '.join(words)})"

    def _note(self) -> str:
        said = next((note for note in map(self.atlas.note, self.all) if note), "")
        return " ".join(said.split()).replace("|", "\\|")[:110]


def page(
    atlas: Atlas,
    pairs: Mapping[tuple[str, str], Sequence[Change]],
    releases: Sequence[str],
    backends: Sequence[str],
) -> str:
    found = [change for here in pairs.values() for change in here]
    span = f"{len(releases)} releases, {releases[0]} to {releases[-1]}"
    head = atlas.head.format(span=span, backends=", ".join(backends))
    lines = [head, "", *_totals(found, atlas.policies), ""]
    quiet = []
    order = {release: at for at, release in enumerate(releases)}
    for old, new in sorted(pairs, key=lambda pair: (order[pair[1]], order[pair[0]])):
        if pairs[old, new]:
            table = [HEAD.format(subject=atlas.subject), *map(_line, rows(pairs[old, new], atlas))]
            lines += [f"## {old} → {new}", "", *table, ""]
        elif not any(old != one and new == other for one, other in pairs):
            quiet.append(f"{old} → {new}")
    return "\n".join([*lines, "## No change at all", "", ", ".join(quiet) + ".", ""])


def rows(found: Sequence[Change], atlas: Atlas) -> list[Row]:
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in found:
        groups.setdefault((cause_of(change), change.case), []).append(change)
    ordered = sorted(groups, key=lambda key: (ORDER.index(key[0]), key[1]))
    return [Row(key[0], tuple(groups[key]), atlas) for key in ordered]


def cause_of(change: Change) -> str:
    """In the words of the page."""
    if change.cause is not None:
        return change.cause
    return "rounding, untold" if change.kind == "rounding" else change.kind


def _line(row: Row) -> str:
    return "| " + " | ".join(row.cells()) + " |"


def _totals(found: Sequence[Change], policies: Sequence[str]) -> Iterator[str]:
    """Cases at one precision on one backend, by cause."""
    largest = (f"largest k, {policy}" for policy in policies)
    yield "| cause | " + " | ".join(("changes", *policies, *largest)) + " |"
    yield "|---" * (2 + 2 * len(policies)) + "|"
    for cause in ORDER:
        here = [change for change in found if cause_of(change) == cause]
        of = [[c for c in here if c.policy == policy] for policy in policies]
        ks = [max((c.local.k or 0.0 for c in some if c.local), default=0.0) for some in of]
        cells = [cause, str(len(here)), *(str(len(some)) for some in of)]
        yield "| " + " | ".join([*cells, *(f"{k:.3g}" if k else "" for k in ks)]) + " |"
