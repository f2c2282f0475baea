"""Packages that a finished run had nothing to do with: in another version it comes to the same.

That a package was not imported is not enough. It may be read as data, loaded by a library beside
it, add a plugin of pytest, or stand before a module of another's. Whatever of that cannot be ruled
out by what the run was heard to read, and by the packages' own lists of files, counts as touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from ..stacks.overlay.described import headers
from ..stacks.pin import Pin
from ..stacks.side import Side
from ..stacks.ties import all_required
from .changes import changes
from .inner.job import InnerRun
from .trace import evidence


def untouched(run: InnerRun, old: Side, new: Side) -> bool:
    """Whether a finished run of `old` read nothing of what `new` has otherwise."""
    differing = changes(old.parts, new.parts)
    before, after = ({pin.package: pin for pin in side.pins} for side in (old, new))
    named = {change.name for change in differing}
    if old.python or new.python or not named <= before.keys() & after.keys():
        # A switch, a package that only one side has, or another environment.
        return False
    read = evidence.read_files(run.place)
    if read is None:
        return False
    pairs = [(_Package(before[name]), _Package(after[name])) for name in named]
    return not any(_matters(*pair, read) for pair in pairs)


def _matters(old: _Package, new: _Package, read: frozenset[str]) -> bool:
    if old.distribution is None or new.distribution is None or old.is_read(read):
        return True
    if old.entry_points != new.entry_points or not new.top_level <= old.top_level:
        return True
    # What is compiled may be loaded by another library, which nobody hears.
    return not (old.is_pure and new.is_pure) and _is_required_by_another(old.name)


@dataclass(frozen=True)
class _Package:
    pin: Pin

    @property
    def name(self) -> str:
        return canonicalize_name(self.pin.package)

    @cached_property
    def distribution(self) -> metadata.Distribution | None:
        """None where it has no list of its files."""
        found = metadata.distributions(name=self.pin.package, path=[str(self.pin.overlay)])
        return next((distribution for distribution in found if distribution.files), None)

    @cached_property
    def files(self) -> frozenset[str]:
        assert self.distribution is not None
        return frozenset(str(file) for file in self.distribution.files or ())

    @property
    def entry_points(self) -> str:
        assert self.distribution is not None
        return self.distribution.read_text(_ENTRY_POINTS) or ""

    @property
    def is_pure(self) -> bool:
        assert self.distribution is not None
        wheel = self.distribution.read_text("WHEEL") or ""
        return re.search(r"^Root-Is-Purelib:\s*true\s*$", wheel, re.M | re.I) is not None

    @property
    def top_level(self) -> frozenset[str]:
        """What its files add to the folder that it stands in, but for its own metadata."""
        parts = (Path(file).parts[0] for file in self.files)
        return frozenset(name for name in parts if not name.endswith((".dist-info", ".data")))

    def is_read(self, read: frozenset[str]) -> bool:
        """pytest reads the entry points of all there is; `.pth` files are read before anybody
        listens."""
        folder = self.pin.overlay.resolve()
        own = {str(folder / file) for file in self.files if Path(file).name != _ENTRY_POINTS}
        executed = self.pin.own and any(file.endswith(".pth") for file in self.files)
        return executed or not own.isdisjoint(read)


_ENTRY_POINTS = "entry_points.txt"


def _is_required_by_another(name: str) -> bool:
    """Whether a package of this environment asks for it, if only as an extra."""
    return any(
        name in all_required(distribution)
        for distribution in metadata.distributions()
        if canonicalize_name(headers(distribution)["Name"] or "") != name
    )
