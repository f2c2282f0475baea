"""A side that can be run: its packages stand in folders, its switches are variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .pin import Pin
from .switches import variables


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a bump. pins: the package in question first, then what else is proved to be in
    its place. text: as it was written, where it is more than a version. switches: what the inner
    run sets and proves. told: as `parts`, where there is more to tell than the pins. python: the
    interpreter, where it is another one than this.
    """

    pins: tuple[Pin, ...]
    text: str = ""
    switches: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str | None] = field(default_factory=dict)
    python: str | None = None

    @property
    def label(self) -> str:
        return brief(self.text) or (str(self.pins[0]) if self.pins else "this environment")

    @property
    def short(self) -> str:
        """The label without the package's name."""
        return brief(self.text) or (self.pins[0].version if self.pins else "this environment")

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment of its inner runs."""
        return variables(self.switches)

    @property
    def parts(self) -> dict[str, str | None]:
        """Everything that tells it from another side: versions by package, values by switch."""
        return dict(self.told) or {pin.package: pin.version for pin in self.pins}


def brief(text: str) -> str:
    """With the hashes of commits cut as git cuts them: nobody reads 40 digits."""
    return re.sub(r"(?<![0-9a-f])([0-9a-f]{10})[0-9a-f]{30}(?![0-9a-f])", r"\1", text)
