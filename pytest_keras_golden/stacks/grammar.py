"""How a side is written: comma-separated versions, pins, locks, sources and switches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from ..errors import ConfigError, nearest
from ..release import parsed
from .locks.locked import LockReference
from .overlay.named import package_name, pinned
from .switches import checked_switch

FORMS = (
    "A side is made of: 3.14.1 or latest; jax==0.10.2,jaxlib==0.10.2; requirements.txt, uv.lock, "
    "poetry.lock, pdm.lock, pixi.lock or pylock.toml; REVISION:LOCK; keras@CLONE:REVISION, "
    "keras@FOLDER or keras@FILE.whl; backend=, jit=, flash=, policy=, threads=, "
    "env.NAME=, run= (keras, savedmodel, onnx, litert, openvino: of a saved model); "
    "python=PATH"
)


_WORDS = (
    "latest",
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pixi.lock",
    "pylock.toml",
)


@dataclass(frozen=True, slots=True)
class SourceReference:
    """A package from a commit of a clone (with a revision), a source checkout or a wheel."""

    package: str
    path: Path
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.package}@{self.path}{f':{self.revision}' if self.revision else ''}"


@dataclass(frozen=True, slots=True)
class SideText:
    """A side as it was written, taken apart. version: of the package in question."""

    text: str
    version: str | None = None
    pins: tuple[tuple[str, str], ...] = ()
    locks: tuple[LockReference, ...] = ()
    sources: tuple[SourceReference, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    python: Path | None = None


def parse_side(text: str) -> SideText:
    """Raises ConfigError for a part that is none, and for parts that contradict each other."""
    parts = [part.strip() for part in _parts(text)]
    if not all(parts):
        raise ConfigError(f"{text!r} has an empty part.", FORMS)
    kinds = [(kind_of(part), part) for part in parts]
    switches = [_switch(part) for kind, part in kinds if kind == "switch"]
    return SideText(
        text=text,
        version=_one(text, "version", (part for kind, part in kinds if kind == "version")),
        pins=tuple(pinned(part) for kind, part in kinds if kind == "pin"),
        locks=tuple(_lock(part) for kind, part in kinds if kind == "lock"),
        sources=tuple(_source(part) for kind, part in kinds if kind == "source"),
        switches=_distinct((n, v) for n, v in switches if n != "python"),
        python=_python(_one(text, "python=", (v for n, v in switches if n == "python"))),
    )


def kind_of(part: str) -> str:
    """`version`, `pin`, `lock`, `source` or `switch`. Raises ConfigError for what is none."""
    kind = _kind(part)
    if kind is None:
        raise ConfigError(f"{part!r} is no part of a side.", f"{_meant(part)}{FORMS}")
    return kind


def _meant(part: str) -> str:
    """The nearest word or name of a lock, in the folder and revision that were named."""
    name = re.split("[:/]", part)[-1]
    close = nearest(name, _WORDS)
    return f"Did you mean {part.removesuffix(name) + close[0]!r}? " if close else ""


def _kind(part: str) -> str | None:
    if _SWITCH.fullmatch(part):
        return "switch"
    if is_lock(part):
        return "lock"
    if "@" in part:
        return "source"
    if "==" in part:
        return "pin"
    return "version" if part == "latest" or parsed(part) is not None else None


def is_version_range(text: str) -> bool:
    """Whether a text is of versions alone, as `matrix` takes them: `3.3.3..3.6`, `>=3.9,<3.12`."""
    return all(_RANGE.fullmatch(part.strip()) for part in text.split(",") if part.strip())


def respelled(
    text: str, package: str, instead: Mapping[str, str | None], bare: str | None = None
) -> str:
    """A side with other parts, and everything else as it was written.

    package: what a version by itself is one of. instead: package (normalised) or switch → the part
    that takes the place of all that the side says of it by name, None for nothing. bare: what a
    version by itself will be one of; `package` where it is None.
    """
    left = dict(instead)
    found: list[str | None] = []
    for part in map(str.strip, _SEPARATOR.split(text)):
        name = _subject(part, package)
        if name is not None and name in instead:
            found.append(left.pop(name, None))
        elif bare not in (None, package) and _kind(part) == "version":
            found.append(f"{package}=={part}")
        else:
            found.append(part)
    return ",".join(filter(None, [*found, *left.values()]))


def _subject(part: str, package: str) -> str | None:
    """The package or switch that a part is of; None for a lock."""
    kind = _kind(part)
    if kind == "version":
        return canonicalize_name(package)
    if kind == "switch":
        return part.partition("=")[0]
    named = kind in ("pin", "source")
    return canonicalize_name(re.split("[@=]", part)[0].strip()) if named else None


_SWITCH = re.compile(r"([a-z]+|env\.[^=]*)=(?!=).*", re.DOTALL)
_RANGE = re.compile(r"latest|([<>=!~]=?|===)?\s*v?[\d.*]+\w*(\.\.(latest|[\w.*]+))?")
_LOCKS = re.compile(r"(uv|poetry|pdm|pixi)\.lock|pylock(\.[^.]+)?\.toml|.+\.txt")


def is_lock(part: str) -> bool:
    """By its file's name."""
    return _LOCKS.fullmatch(PurePosixPath(part.rpartition(":")[2]).name) is not None


def _parts(text: str) -> list[str]:
    """Split at commas; `\\,` is a comma within a value."""
    return [part.replace("\\,", ",") for part in _SEPARATOR.split(text)]


_SEPARATOR = re.compile(r"(?<!\\),")


def _one(text: str, what: str, found: Iterable[str]) -> str | None:
    values = list(dict.fromkeys(found))
    if len(values) > 1:
        raise ConfigError(
            f"{text!r} contradicts itself: {what} is {values[0]} and {values[1]}.", "Leave one."
        )
    return values[0] if values else None


def _switch(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    if name == "python":
        return name, value
    return name, checked_switch(name, value)


def _distinct(switches: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for name, value in switches:
        if found.setdefault(name, value) != value:
            raise ConfigError(
                f"{name}={found[name]} and {name}={value} contradict each other.", "Leave one."
            )
    return tuple(found.items())


def _python(value: str | None) -> Path | None:
    if value is None:
        return None
    if not value:
        raise ConfigError("python= names no interpreter.", "Example: python=.venv-old/bin/python")
    return Path(value).expanduser().absolute()


def _lock(part: str) -> LockReference:
    revision, colon, path = part.rpartition(":")
    if colon and not Path(part).exists():
        return LockReference(Path(path), revision)
    return LockReference(Path(part))


def _source(part: str) -> SourceReference:
    name, _, rest = part.partition("@")
    package = package_name(name.strip())
    path = Path(rest.strip()).expanduser()
    if path.exists() or ":" not in rest:
        return SourceReference(package, path)
    clone, _, revision = rest.rpartition(":")
    return SourceReference(package, Path(clone).expanduser(), revision)
