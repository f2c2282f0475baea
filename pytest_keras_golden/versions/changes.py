"""What differs between the two sides of a bump."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..stacks.pin import Pin


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


def changes(old: Iterable[Pin], new: Iterable[Pin]) -> tuple[Change, ...]:
    """The packages whose versions differ, in the order in which the sides name them."""
    before, after = _versions(old), _versions(new)
    return tuple(
        Change(name, before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def _versions(pins: Iterable[Pin]) -> Mapping[str, str]:
    return {pin.package: pin.version for pin in pins}
