"""Changes of layers between two releases: how much, of what kind, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from history import PRECISION
from history.recordings import Key, Recorded, Recorder
from pytest_keras_golden.capture.causes import EXCUSING, RANK
from pytest_keras_golden.compare.cause import MEANING, cause_of
from pytest_keras_golden.compare.isolation import judge_local, worse
from pytest_keras_golden.outcomes import Cause, LocalOutcome, Twin

CLASSES = {"within": "rounding", "systematic": "systematic", "structure": "structure"}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Change:
    """One case that changed between two releases, at one precision on one backend.

    kind: what its own numbers say; local: the worst of its arrays, by name. cause: what twins say
    of it, None where they cannot tell.
    commit: the first that has the change, with the cause; "" where nobody looked.
    """

    old: str
    new: str
    case: str
    policy: str
    backend: str
    kind: str
    local: LocalOutcome | None
    note: str | None = None
    cause: Cause | None = None
    twin: Twin | None = None
    commit: str = ""

    @property
    def key(self) -> Key:
        return self.policy, self.case


def changes(old: Recorded, new: Recorded, backend: str) -> Iterator[Change]:
    for key, before in old.arrays.items():
        policy, case = key
        if key not in new.arrays:
            why = new.failed.get(key, "gone")
            yield Change(old.release, new.release, case, policy, backend, "broken", None, why)
            continue
        local = _worst(new.arrays[key], before, PRECISION.get(policy, ""))
        if local.verdict != "identical":
            kind = CLASSES.get(local.verdict, "semantic")
            yield Change(old.release, new.release, case, policy, backend, kind, local)
    for key in new.arrays.keys() - old.arrays.keys():
        if not _is_new(old.failed.get(key, "")):
            why = f"did not run before: {old.failed[key]}"
            yield Change(old.release, new.release, key[1], key[0], backend, "repaired", None, why)


def _worst(new: Mapping[str, Array], old: Mapping[str, Array], precision: str) -> LocalOutcome:
    if new.keys() != old.keys():
        note = f"{_named(new.keys() - old.keys())} new, {_named(old.keys() - new.keys())} gone"
        return LocalOutcome("", 0, "structure", precision, k=None, rel_l2=None, note=note)
    judged = [
        judge_local(name, at, [new[name]], [array], precision)
        for at, (name, array) in enumerate(old.items())
    ]
    return reduce(worse, judged, LocalOutcome("", 0, "identical", precision, k=0.0, rel_l2=0.0))


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _is_new(why: str) -> bool:
    """The older release had no such layer, option or activation."""
    words = (
        "no attribute",
        "unexpected keyword",
        "Unrecognized keyword",
        "Could not interpret",
        "not recognized",
        "Invalid value for argument",
    )
    return not why or any(word in why for word in words)


def explained(
    found: Sequence[Change], recorder: Recorder, keys: Sequence[Key] = ()
) -> list[Change]:
    """Changes between two releases with their causes: what moved is run again with twins.

    keys: all that is to be run then, what moved where it is empty."""
    moved = sorted(change.key for change in found if change.local is not None)
    keys = keys or moved
    if not moved:
        return list(found)
    old, new = (recorder.release(name, keys) for name in (found[0].old, found[0].new))
    return [with_cause(change, old, new) for change in found]


def with_cause(change: Change, old: Recorded, new: Recorded) -> Change:
    if change.local is None or change.kind == "structure":
        return change
    sources = [new.arrays, old.arrays, new.twins, old.twins]
    made = [source.get(change.key, {}) for source in sources]
    shared = [name for name in made[0] if all(name in arrays for arrays in made)]
    precision = PRECISION.get(change.policy, change.policy)
    told = [
        one
        for name in shared
        if (one := _cause(*(arrays[name] for arrays in made), precision)) is not None
    ]
    if not told:
        return change
    cause, twin = max(told, key=lambda one: (RANK.index(one[0]), one[1].k))
    return change if _hides(cause, change) else replace(change, cause=cause, twin=twin)


def _cause(
    run: Array, golden: Array, twin: Array, golden_twin: Array, precision: str
) -> tuple[Cause, Twin] | None:
    names = {array.dtype.name for array in (twin, golden_twin)}
    if len({array.shape for array in (run, golden, twin, golden_twin)}) > 1 or names - set(MEANING):
        return None
    cause, figures = cause_of(run, golden, twin, golden_twin, precision)
    return None if cause is None else (cause, figures)


def _hides(cause: Cause, change: Change) -> bool:
    """Twins that agree do not speak for a result that is not finite, nor for one with a bias."""
    verdict = change.local.verdict if change.local else ""
    if verdict == "systematic":
        return cause == "rounding"
    return verdict == "nonfinite" and cause in EXCUSING
