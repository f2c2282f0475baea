"""One package of a side, and where it must come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class Pin:
    """One package in one version, and the folder that it must come from.

    overlay: stands before what is installed, unless it is the environment's `own`.
    """

    package: str
    version: str
    overlay: Path
    own: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """The names it is imported under: as it is called, else what was installed for it.

        scikit-learn is `sklearn`, pyyaml is `yaml`, protobuf `google.protobuf`. None for a package
        that holds nothing to import.
        """
        called = self.package.replace("-", "_")
        listed = self._listed()
        if listed is None:
            listed = frozenset(filter(None, map(_importable, self.overlay.iterdir())))
            if not listed:
                return (called,)
        public = [name for name in sorted(listed) if _is_public(name)]
        return (called,) if called in listed else tuple(public)

    def _listed(self) -> frozenset[str] | None:
        """By its own list of files; None where there is no such list."""
        for found in metadata.distributions(name=self.package, path=[str(self.overlay)]):
            if found.files:
                return frozenset(_modules(found.files))
        return None

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def _modules(files: Iterable[PurePath]) -> set[str]:
    """Top-level modules; below a folder without an `__init__.py` the outermost that have one."""
    found = {".".join(_module(path)) for path in files if _module(path)}
    return {name for name in found if not any(f"{above}" in found for above in _above(name))}


def _module(path: PurePath) -> tuple[str, ...]:
    parts = path.parts
    if ".." in parts or path.is_absolute() or parts[0].endswith((".dist-info", ".data")):
        return ()
    if parts[-1] == "__init__.py":
        return parts[:-1]
    if len(parts) == 1 and path.suffix in (".py", ".so", ".pyd"):
        return (path.name.partition(".")[0],)
    return ()


def _above(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def _importable(entry: Path) -> str | None:
    if (entry / "__init__.py").is_file():
        return entry.name
    return entry.stem if entry.suffix == ".py" else None


def _is_public(name: str) -> bool:
    parts = name.split(".")
    return parts[0] not in _INCIDENTAL and not any(part.startswith("_") for part in parts)


_INCIDENTAL = frozenset({"test", "tests", "docs", "examples"})
"""What careless wheels bring along, and the user's own folders may well be called."""
