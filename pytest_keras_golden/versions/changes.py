"""What differs between the two sides of a bump, and which of it moves the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..release import parsed
from ..report.wording import plural
from ..stacks.clone import Commit
from ..stacks.side import brief
from ..stacks.switches import is_switch
from .search.halves import Answer


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the sides do not share: a package, by its versions, or a switch.

    None where a side does not have it.
    """

    name: str
    old: str | None = None
    new: str | None = None

    @property
    def is_package(self) -> bool:
        return not is_switch(self.name)

    @property
    def is_newer(self) -> bool:
        """Whether a package goes from one release to a later one."""
        old, new = parsed(self.old), parsed(self.new)
        return self.is_package and old is not None and new is not None and old < new

    def __str__(self) -> str:
        before, after = (brief(value or "as it is") for value in (self.old, self.new))
        return f"{self.name} {before} → {after}"

    def to_json(self) -> dict[str, str | None]:
        return {"name": self.name, "old": self.old, "new": self.new}


def changes(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> tuple[Change, ...]:
    """What differs between the parts of two sides, in the order in which they name them."""
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A mixture that could not be run, by the names of the changes in it, and why."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Since:
    """Under which release of a guilty package the tests move first, and by which commit of it.

    between, commit_between: releases and commits that could not be run and may be it instead.
    releases, commits: how many were searched. commit: None where no clone was searched, or it could
    not serve: `no_commit` says why.
    """

    package: str
    first_bad: str
    last_good: str
    probes: int
    releases: int
    between: tuple[str, ...] = ()
    commit: Commit | None = None
    commit_between: tuple[str, ...] = ()
    commit_probes: int = 0
    commits: int = 0
    no_commit: str | None = None

    def to_json(self) -> dict[str, Any]:
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        lists = {name: list(v) for name, v in told.items() if isinstance(v, tuple)}
        return {**told, **lists, "commit": None if self.commit is None else self.commit.to_json()}

    @property
    def was_searched(self) -> bool:
        """Whether there is more to say than that the sides are a release apart."""
        return self.releases > 2 or self.commit is not None or self.no_commit is not None

    @property
    def sentence(self) -> str:
        """`They move since keras 3.6.0, and not under 3.5.0 (2 probes of 5 releases).`"""
        searched = f"{plural(self.probes, 'probe')} of {plural(self.releases, 'release')}"
        told = f"They move since {self.package} {self.first_bad}, and not under {self.last_good}"
        return " ".join([f"{told} ({searched}).", *self._unsure(), *self._by_commit()])

    def _unsure(self) -> Iterator[str]:
        if self.between:
            yield f"{', '.join(self.between)} could not be run and may be the first instead."

    def _by_commit(self) -> Iterator[str]:
        if self.no_commit:
            yield f"No commit: {self.no_commit}"
        if self.commit is None:
            return
        searched = f"{plural(self.commit_probes, 'probe')} of {plural(self.commits, 'commit')}"
        yield f"The commit is {self.commit} ({searched})."
        if self.commit_between:
            named = ", ".join(sha[:10] for sha in self.commit_between)
            yield f"{named} could not be run and may be the culprit instead."


@dataclass(frozen=True, slots=True)
class Culprit:
    """The smallest set of changes that alone moves the tests. among: how many there were. rest:
    whether the other changes move them as well; None where that is not known. tied: packages that
    move along with another of the set. since: where in the guilty package it came, where it was
    looked for."""

    changes: tuple[Change, ...]
    among: int
    probes: int
    unresolved: tuple[Unresolved, ...] = ()
    rest: Answer | None = None
    tied: frozenset[str] = frozenset()
    since: Since | None = None

    def to_json(self) -> list[dict[str, str | None]]:
        return [change.to_json() for change in self.changes]

    def search_json(self) -> dict[str, Any]:
        return {
            "probes": self.probes,
            "changes": self.among,
            "rest": self.rest,
            "since": None if self.since is None else self.since.to_json(),
            "unresolved": [
                {"changes": list(mixture.names), "reason": mixture.reason}
                for mixture in self.unresolved
            ],
        }

    @property
    def lines(self) -> list[str]:
        """What to say of it. Where there was but one change, it goes without saying."""
        said = [self.sentence] if self.among > 1 else []
        return [*said, self.since.sentence] if self.since and self.since.was_searched else said

    @property
    def varied(self) -> Change | None:
        """The package whose releases can be searched: the others of the set are held, or go along.
        None where the set has no package that got newer."""
        packages = sorted((c for c in self.changes if c.is_package), key=lambda c: len(c.name))
        first = next((change for change in packages if change.name not in self.tied), None)
        return first if first is not None and first.is_newer else None

    @property
    def sentence(self) -> str:
        """`The culprit is keras 3.5.0 → 3.6.0 (of 14 changes, 6 probes).`"""
        free = [change for change in self.changes if change.name not in self.tied]
        told = " with ".join(map(str, free or self.changes))
        along = [str(change) for change in self.changes if change.name in self.tied]
        told += f", and {', '.join(along)} that goes along" if along and free else ""
        alone = "; neither does it alone" if len(free) == 2 else ""
        alone = "; none can be left out" if len(free) > 2 else alone
        searched = f"of {plural(self.among, 'change')}, {plural(self.probes, 'probe')}"
        return f"The culprit is {told}{alone} ({searched}).{self._rest()}"

    def _rest(self) -> str:
        if self.rest == "bad":
            return " The other changes without it move these tests as well."
        return "" if not self.unresolved else f" {self._unresolved()}"

    def _unresolved(self) -> str:
        first = self.unresolved[0]
        names = ", ".join(first.names[:4]) + (" and more" if len(first.names) > 4 else "")
        more = len(self.unresolved) - 1
        others = f"; {more} more likewise" if more else ""
        return f"A mixture with {names} could not be run ({first.reason}){others}."
