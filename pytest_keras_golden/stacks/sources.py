"""A package from elsewhere than an index: a commit of a clone, a source checkout, a wheel."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ..errors import ConfigError, StackError
from .clone import Clone, fill_from, overlay_of_commit
from .environment import Environment
from .grammar import SourceReference
from .overlay import installer
from .overlay.folder import cache_root, ensure_folder
from .overlay.neighbours import ensure_runnable
from .overlay.releases import releases


def ensure_source(source: SourceReference, environment: Environment) -> Path:
    """The folder that holds the package as the source has it.

    Raises ConfigError where the source is not there or is of another package.
    """
    if source.revision is not None:
        return _commit(source)
    if source.path.suffix == ".whl":
        return _wheel(source, environment)
    if source.path.is_dir():
        return _checkout(source)
    raise ConfigError(
        f"{source}: there is no {source.path}.",
        f"Write {source.package}@CLONE:REVISION, {source.package}@FOLDER or a wheel's file.",
    )


def _commit(source: SourceReference) -> Path:
    clone = Clone(source.path.resolve(), source.package)
    if not source.path.is_dir():
        raise ConfigError(f"{source}: there is no clone {source.path}.")
    try:
        sha = clone.commit(str(source.revision))
    except StackError as error:
        raise ConfigError(
            f"{source}: the clone has no revision {source.revision!r}.", "Fetch it: git fetch"
        ) from error
    if not clone.has(sha, clone.folder):
        raise ConfigError(f"{source}: that commit has no folder {clone.folder}/.")
    version = clone.version_at(sha) or "0"
    return overlay_of_commit(clone, sha, version, _release_near(source.package, version))


def _release_near(package: str, version: str) -> Path:
    """What is generated at build time is taken from it, where the source lacks it."""
    offered = [str(found) for found in releases(package)]
    return ensure_runnable(package, version if version in offered else offered[-1])


def _checkout(source: SourceReference) -> Path:
    """As it is now: another state of its files is another folder."""
    clone = Clone(source.path.resolve(), source.package)
    package = source.path.resolve() / clone.folder
    if not (package / "__init__.py").is_file():
        raise ConfigError(
            f"{source}: {source.path} holds no package folder {clone.folder}/.",
            "Name the root of its source tree; what is compiled has to be built as a wheel first.",
        )
    digest = hashlib.sha256("\n".join(_states(package)).encode()).hexdigest()[:16]
    place = cache_root().parent / "checkouts" / f"{clone.folder}-{digest}"
    return ensure_folder(
        place,
        lambda fresh: fill_from(package, clone, fresh, _release_near(source.package, "")),
        source.package,
        f"0+{digest}",
    )


def _states(package: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(package):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            stat = (Path(folder) / name).stat()
            yield f"{folder}/{name}:{stat.st_size}:{stat.st_mtime_ns}"


def _wheel(source: SourceReference, environment: Environment) -> Path:
    if not source.path.is_file():
        raise ConfigError(f"{source}: there is no file {source.path}.")
    try:
        name, version, _, _ = parse_wheel_filename(source.path.name)
    except InvalidWheelFilename as error:
        raise ConfigError(f"{source}: {error}.") from error
    if name != canonicalize_name(source.package):
        raise ConfigError(f"{source}: the wheel is of {name}.", f"Write {name}@{source.path}")
    digest = hashlib.sha256(source.path.read_bytes()).hexdigest()[:16]
    root = cache_root(tag=environment.tag).parent / "wheels" / environment.tag
    executable = None if environment.is_this else str(environment.python)
    return ensure_folder(
        root / re.sub(r"[^\w.+-]", "_", f"{name}-{version}-{digest}"),
        lambda fresh: installer.install_wheel(source.path.resolve(), fresh, executable),
        name,
        str(version),
    )
