"""The training atlas as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from history.changes import Change
from history.page import Atlas, cause_of, note_of
from history.recordings import Recorder

from training import POLICIES
from training.readings import READINGS

HEAD = """# What changed numerically in Keras' training, release by release

Written by `make training-atlas` ({span}; {backends} on CPU, one after the other).
Each row is a scenario that gave other numbers between two neighbouring releases on the same inputs,
weights and seeds, every other package unchanged: an [optimizer](how-to/training.md), a schedule, a
loss, a metric, an initializer, a function of `keras.random`, a regularizer or constraint, a layer's
backward pass or initial weights, in float32; `fit` and its kin also in both mixed precisions.

- **meaning**: what both releases make of it in float64, all of the scenario computed so, differs:
  another formula, constant, default or reduction.
- **precision**: that agrees, and the error against it is another: casts, the precision of a sum.
- **rounding**: that agrees and so do the errors. Steps of training carry rounding on.
- **semantic**, **systematic**, **nonfinite**, **rounding, untold**: what its own numbers say where
  float64 tells nothing (draws are others there): beyond the tolerance of a single layer, within it
  but biased, not finite, within it.
- **structure**: another shape, dtype or name. **broken**, **repaired**: it raises in the newer, or
  did in the older release.

k is the largest error in units of ε·(|golden| + rms), ε = 2⁻²³ for float32, 2⁻¹⁰ for mixed_float16
and 2⁻⁷ for mixed_bfloat16; in the last column the array that it is in. A commit is the first whose
numbers have the change with this cause; what the commits did is told
[below](#what-the-commits-did)."""


def _note(change: Change) -> str | None:
    said = note_of(change)
    if change.local is None or not change.local.name:
        return said
    return f"{change.local.name}: {said}" if said else change.local.name


TRAINING = Atlas(HEAD, "scenario", POLICIES, _note)

Pairs = Mapping[tuple[str, str], Sequence[Change]]


def footer(pairs: Pairs, releases: Sequence[str], recorders: Sequence[Recorder]) -> str:
    """What the commits did, what never moved, and what was not run."""
    found = [change for here in pairs.values() for change in here]
    lines = ["", "## What the commits did", "", *_readings(found), ""]
    lines += ["## What never moved", "", *_unmoved(found, releases, recorders), ""]
    return "\n".join(lines)


def _readings(found: Sequence[Change]) -> Iterator[str]:
    """Of each commit read by eye, the scenarios it was found for."""
    yield f"{len(READINGS)} were read; what is said of them is by hand."
    yield ""
    for commit, (pair, said) in READINGS.items():
        here = {c.case for c in found if commit in c.commit}
        yield f"- **{commit}** ({pair}, {len(here)} scenarios): {said}"


def _unmoved(
    found: Sequence[Change], releases: Sequence[str], recorders: Sequence[Recorder]
) -> Iterator[str]:
    """Scenarios of each group by what the worst of their changes was, over all releases that were
    run in whole: the ends of the series."""
    ends = {r for r in releases if r in (releases[0], releases[-1])}
    ran: dict[str, Counter[str]] = {}
    for recorder in recorders:
        seen = {key for end in ends for key in recorder.release(end).arrays}
        moved = {c.key for c in found if c.backend == recorder.backend}
        only = {
            c.key
            for c in found
            if c.backend == recorder.backend and not cause_of(c).startswith("rounding")
        }
        for key in seen:
            count = ran.setdefault(key[1].partition(":")[0], Counter())
            count["ran"] += 1
            count["never"] += key not in moved
            count["rounded"] += key in moved - only
    yield "Scenarios at one precision on one backend that run on the oldest or the newest release."
    yield ""
    yield "| group | run | never moved a bit | moved by rounding alone |"
    yield "|---|---|---|---|"
    for group, count in ran.items():
        yield f"| {group} | {count['ran']} | {count['never']} | {count['rounded']} |"
