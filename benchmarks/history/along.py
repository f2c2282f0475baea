"""The changes along a list of releases, series by series."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from history.changes import Change, changes, explained
from history.commits import is_sought, with_commits
from history.recordings import Key, Recorder
from pytest_keras_golden.stacks.clone import Clone

Pair = tuple[str, str]


def history(
    releases: Sequence[str], recorder: Recorder, clone: Clone | None, *, thorough: bool = True
) -> Iterator[tuple[Pair, list[Change]]]:
    """(old, new), changes along the releases; inside a series only where its ends differ.

    thorough: inside of such a series every case is run; else those that differ at its ends, and
    only where some of them do by more than rounding."""
    for series in serial(releases):
        whole = _between(recorder, series[0], series[-1])
        keys = () if thorough else tuple(sorted(change.key for change in whole))
        told = [] if thorough else explained(whole, recorder, keys)
        inside = len(series) > 2 and (whole if thorough else any(map(is_sought, told)))
        for pair in itertools.pairwise(series) if inside else [(series[0], series[-1])]:
            if thorough or inside:
                told = explained(_between(recorder, *pair, keys), recorder, keys)
            yield pair, list(with_commits(told, recorder, clone)) if clone else told


def _between(recorder: Recorder, old: str, new: str, keys: Sequence[Key] = ()) -> list[Change]:
    before, after = (recorder.release(name, keys) for name in (old, new))
    return list(changes(before, after, recorder.backend))


def serial(releases: Sequence[str]) -> Iterator[Sequence[str]]:
    """Pieces of the list from the last release of one series to the last of the next."""
    minor = [release.split(".")[:2] for release in releases]
    ends = [at for at in range(len(releases)) if minor[at : at + 2] != [minor[at]] * 2]
    starts = [0, *ends] if ends[0] else ends
    return (releases[low : high + 1] for low, high in itertools.pairwise(starts))


def over_backends(
    releases: Mapping[Recorder, Sequence[str]],
    clone: Clone | None,
    jobs: int,
    *,
    thorough: bool = True,
) -> Mapping[Pair, list[Change]]:
    """The changes of all backends by pair of releases; jobs: backends at a time."""

    def along(recorder: Recorder) -> list[tuple[Pair, list[Change]]]:
        return list(history(releases[recorder], recorder, clone, thorough=thorough))

    pairs: dict[Pair, list[Change]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for backend in pool.map(along, releases):
            for pair, found in backend:
                pairs.setdefault(pair, []).extend(found)
    return pairs
