"""The commit of a clone that made a change between two releases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from subprocess import CalledProcessError

from history.changes import Change, changes, with_cause
from history.recordings import Key, Recorded, Recorder
from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.clone import Clone, overlay_of_commit
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable
from pytest_keras_golden.versions.search.commits import first_bad_commit
from pytest_keras_golden.versions.search.halves import Answer

SOUGHT = ("meaning", "precision", "semantic", "systematic", "nonfinite", "structure")


def is_sought(change: Change) -> bool:
    """Whether it is worth a commit: another meaning or precision, as its twins or, where it has no
    twins that tell, its own numbers say."""
    return (change.cause or change.kind) in SOUGHT


@dataclass(frozen=True)
class Commits:
    """Commits between two releases on one backend, of which each is run once for all keys."""

    clone: Clone
    recorder: Recorder
    old: str
    new: str
    keys: Sequence[Key]

    def first(self, change: Change) -> str:
        """Short hash of the first commit whose change has the cause of `change`; "" where none can
        be told."""

        def probe(sha: str) -> Answer:
            try:
                at = self._at(sha)
            except (CalledProcessError, StackError):
                return "skip"
            if change.key not in at.arrays:
                return "skip"
            return "bad" if self._has(change, at) else "good"

        ends = [self.clone.release(version) for version in (self.old, self.new)]
        try:
            found = first_bad_commit(self.clone, ends[0], ends[1], probe)
        except StackError:
            return ""
        several = f" or one of {len(found.between)} before it" if found.between else ""
        return self.clone.describe(found.first_bad).sha[:10] + several

    def _has(self, change: Change, at: Recorded) -> bool:
        old = self.recorder.release(self.old, self.keys)
        here = (one for one in changes(old, at, change.backend) if one.key == change.key)
        causes = (with_cause(one, old, at) for one in here)
        return any(one.cause == change.cause and is_sought(one) for one in causes)

    def _at(self, sha: str) -> Recorded:
        release = ensure_runnable("keras", self.old)
        overlay = overlay_of_commit(self.clone, sha, self.new, release)
        return self.recorder.overlaid(sha[:16], overlay, self.keys)


def with_commits(found: Sequence[Change], recorder: Recorder, clone: Clone) -> Iterator[Change]:
    """Changes between two releases, with the commits of those that are no rounding."""
    sought = [change for change in found if is_sought(change)]
    keys = sorted(change.key for change in sought)
    commits = Commits(clone, recorder, found[0].old, found[0].new, keys) if found else None
    for change in found:
        at = commits.first(change) if commits is not None and change in sought else ""
        yield replace(change, commit=at)
