"""The first bad commit of a clone, by git's own bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import StackError
from ...stacks.clone import Clone
from ...stacks.overlay.named import revision
from .halves import Answer


@dataclass(frozen=True, slots=True)
class FoundCommit:
    """first_bad: the culprit. between: untestable commits any of which may be it instead."""

    first_bad: str
    between: tuple[str, ...]
    candidates: int


def first_bad_commit(
    clone: Clone, good: str, bad: str, probe: Callable[[str], Answer]
) -> FoundCommit:
    """Git's own bisection of the commits in `bad` and not in `good` that touch the package.

    History with merges is handled as git does: a good commit clears all its ancestors. Where
    `good` is on another branch, the point where they parted is probed first.
    Raises StackError where no commit is between them or the parting point is bad already.
    """
    clean = [revision(good)]
    base = clone.git("merge-base", good, revision(bad))
    if base != clone.git("rev-parse", f"{good}^{{commit}}"):
        _check_base(base, good, probe)
    candidates = _between(clone, clean, bad)
    if not candidates:
        raise StackError(f"No commit that touches {clone.folder}/ lies between {good} and {bad}.")
    total, skipped = len(candidates), set[str]()
    while True:
        left = _between(clone, clean, bad)
        # The newest one left has the same package as `bad`: it is known without a probe.
        pick = _middle(clone, clean, bad, skipped | {left[0]})
        if pick is None:
            return FoundCommit(left[0], tuple(left[1:]), total)
        answer = probe(pick)
        if answer == "good":
            clean.append(pick)
        elif answer == "bad":
            bad = pick
        else:
            skipped.add(pick)


def _check_base(base: str, good: str, probe: Callable[[str], Answer]) -> None:
    if probe(base) == "bad":
        raise StackError(
            f"{good} holds, but {base[:10]}, from which its branch parted, drifts already: the "
            "change was made undone on that branch, and no commit in between brought it.",
            "Bisect from an older release.",
        )


def _between(clone: Clone, good: Sequence[str], bad: str) -> list[str]:
    """Newest first: what `bad` has and none of `good`, as far as it touches the package."""
    refused = [f"^{sha}" for sha in good]
    return clone.git("rev-list", bad, *refused, "--", clone.folder).split()


def _middle(clone: Clone, good: Sequence[str], bad: str, tried: set[str]) -> str | None:
    """The commit that halves what is left best and has not been tried; None where none is."""
    refused = [f"^{sha}" for sha in good]
    ranked = clone.git("rev-list", "--bisect-all", bad, *refused, "--", clone.folder)
    shas = [line.split()[0] for line in ranked.splitlines() if line.strip()]
    return next((sha for sha in shas if sha not in tried), None)
