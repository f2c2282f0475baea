"""What differs between the two sides of a bump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the sides do not share: a package, by its versions, or a switch.

    None where a side does not have it.
    """

    name: str
    old: str | None
    new: str | None

    def to_json(self) -> dict[str, str | None]:
        return {"name": self.name, "old": self.old, "new": self.new}


def changes(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> tuple[Change, ...]:
    """What differs between the parts of two sides, in the order in which they name them."""
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    )
