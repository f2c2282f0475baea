"""The training atlas as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

from history.changes import Change
from history.page import Atlas, cause_of, note_of
from history.recordings import Key, Recorder

from training import POLICIES
from training.readings import MISLEADING, READINGS

HEAD = """# What changed numerically in Keras' training{on}, release by release

Written by {written} ({{span}};
{{backends}} on CPU).
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

Between two ends of a series (3.0.0 and 3.0.5) only what differs there by more than rounding was
run. A gradient below 2⁻¹⁷ of its layer's largest is rounding itself and taken for 0. On jax all of
it ran beside one old jax, which the `fit` of old releases needs; on TensorFlow without XLA, but for
`fit: jit_compile`.

k is the largest error in units of ε·(|golden| + rms), ε = 2⁻²³ for float32, 2⁻¹⁰ for mixed_float16
and 2⁻⁷ for mixed_bfloat16; in the last column the array that it is in. A commit is the first whose
numbers have the change with this cause, beside a parent that has not; what the commits did is told
at the end. Without one, none could be told, or nobody looked."""


BACKENDS = {"jax": "jax", "tensorflow": "TensorFlow", "torch": "torch"}


def _note(change: Change) -> str | None:
    said = note_of(change)
    if change.local is None or not change.local.name:
        return said
    return f"{change.local.name}: {said}" if said else change.local.name


def atlas(backends: Sequence[str], with_commits: bool) -> Atlas:
    """The page of all three backends, or of one."""
    if len(backends) > 1:
        on, written = "", "`make training-atlas`"
    else:
        on = f" on {BACKENDS[backends[0]]}"
        written = f"`make training-atlas BACKEND={backends[0]}`"
    commits = (
        " with a clone of Keras (`KERAS=CLONE`), for the commits"
        if with_commits
        else " without a clone of Keras: no commits were looked for"
    )
    head = HEAD.format(on=on, written=written + commits)
    return Atlas(head, "scenario", POLICIES, _note)


Pairs = Mapping[tuple[str, str], Sequence[Change]]


Releases = Mapping[Recorder, Sequence[str]]


def footer(pairs: Pairs, releases: Releases, unsteady: Mapping[str, Set[Key]]) -> str:
    """What the commits did, what never moved, and what was left out."""
    found = [change for here in pairs.values() for change in here]
    lines = [""]
    if any(change.commit for change in found):
        lines += ["## What the commits did", "", *_readings(found), ""]
        lines += ["## Where the cause misleads", "", *(f"- {said}" for said in MISLEADING), ""]
    lines += ["## What never moved", "", *_unmoved(found, releases), ""]
    lines += ["## What was left out", "", *_left_out(releases, unsteady), ""]
    return "\n".join(lines)


def _readings(found: Sequence[Change]) -> Iterator[str]:
    """Of each commit that was read, the scenarios it was found for."""
    said = {commit for change in found for commit in change.commit.split()[:1]}
    yield f"Of {len(said)} commits {len(said & READINGS.keys())} were read by eye."
    yield ""
    for commit in (commit for commit in READINGS if commit in said):
        cases = sorted({change.case for change in found if change.commit.startswith(commit)})
        more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
        yield f"- **{commit}**: {READINGS[commit]} ({', '.join(cases[:3])}{more})"


def _unmoved(found: Sequence[Change], releases: Releases) -> Iterator[str]:
    counts: dict[str, Counter[str]] = {}
    for recorder, own in releases.items():
        here = [change for change in found if change.backend == recorder.backend]
        moved = {change.key for change in here}
        more = {change.key for change in here if not cause_of(change).startswith("rounding")}
        for key in _ran(recorder, own):
            count = counts.setdefault(key[1].partition(":")[0], Counter())
            count.update({"ran": 1, "never": key not in moved, "rounded": key in moved - more})
    yield "Scenarios at one precision on one backend, as far as the oldest or newest release runs"
    yield "them; in all releases that do, they gave the same bits, or other bits by rounding alone."
    yield ""
    yield "| | run | never moved a bit | moved by rounding alone |"
    yield "|---|---|---|---|"
    for group, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        yield f"| {group} | {count['ran']} | {count['never']} | {count['rounded']} |"


def _ran(recorder: Recorder, releases: Sequence[str]) -> set[Key]:
    ends = (releases[0], releases[-1])
    return {key for release in ends for key in recorder.release(release).arrays}


def _left_out(releases: Releases, unsteady: Mapping[str, Set[Key]]) -> Iterator[str]:
    """What raises in the newest release, and what two runs of one release give otherwise."""
    for backend, keys in unsteady.items():
        if keys:
            words = ", ".join(f"{case} ({policy})" for policy, case in sorted(keys))
            yield f"- Not the same in two runs of one release on {backend}, and not told: {words}."
    yield "- Raised in the newest release:"
    for recorder, own in releases.items():
        reasons: dict[str, list[str]] = {}
        for (policy, case), why in recorder.release(own[-1]).failed.items():
            said = " ".join(why.split()).replace("|", "\\|")[:120]
            reasons.setdefault(said, []).append(f"{case} ({policy})")
        for why, cases in reasons.items():
            yield f"    - {recorder.backend}: {', '.join(cases)}: `{why}`"
