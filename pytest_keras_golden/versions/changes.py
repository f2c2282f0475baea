"""What differs between the two sides of a bump, and which of it moves the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..report.wording import plural
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

    def __str__(self) -> str:
        before, after = (value or "as it is" for value in (self.old, self.new))
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
class Culprit:
    """The smallest set of changes that alone moves the tests. among: how many there were. rest:
    whether the other changes move them as well; None where that is not known. tied: packages that
    move along with another of the set. bisect: what to type to go on."""

    changes: tuple[Change, ...]
    among: int
    probes: int
    unresolved: tuple[Unresolved, ...] = ()
    rest: Answer | None = None
    tied: frozenset[str] = frozenset()
    bisect: str | None = None

    def to_json(self) -> list[dict[str, str | None]]:
        return [change.to_json() for change in self.changes]

    def search_json(self) -> dict[str, Any]:
        return {
            "probes": self.probes,
            "changes": self.among,
            "rest": self.rest,
            "unresolved": [
                {"changes": list(mixture.names), "reason": mixture.reason}
                for mixture in self.unresolved
            ],
        }

    @property
    def lines(self) -> list[str]:
        """What to say of it; nothing where there was but one change."""
        return [self.sentence] if self.among > 1 else []

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
