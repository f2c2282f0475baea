"""What an old release needs beside itself and the environment lacks.

3.3.x imports `packaging` without declaring it, 3.0.x needs dm-tree: in an environment made for a
newer release these are absent. A cheap scan of the overlay's imports clears almost every release;
only where something is missing is the package really imported, in a subprocess, to see. Either is
remembered, until something is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from ...errors import StackError
from ...io.atomic import write_whole
from ...io.usercache import writing_cache
from .folder import cache_root, ensure_overlay, overlay_environment

_DISTRIBUTIONS = {
    "absl": "absl-py",
    "google": "protobuf",
    "PIL": "pillow",
    "tree": "dm-tree",
    "yaml": "pyyaml",
}
"""Import name → distribution, where the two differ."""

_HEAVY = frozenset({"jax", "jaxlib", "torch", "tensorflow", "openvino", "tensorflow_text", "keras"})
"""What a user chooses and installs himself: a missing one is never filled in."""

_ROUNDS = 8


def ensure_runnable(
    package: str, version: str, *, cache: Path | None = None, extra: tuple[str, ...] = ()
) -> Path:
    """As `ensure_overlay`, with the neighbours added without which `import package` fails.

    Raises StackError where it fails for another reason than a missing small package.
    """
    overlay = ensure_overlay(package, version, cache=cache, extra=extra)
    added = _remembered(overlay, cache)
    if added is None:
        lacking = set(_suspects(overlay)) - _HEAVY
        added = _find_missing(package, version, extra, cache) if lacking else ()
        _remember(overlay, added, cache)
    if not added:
        return overlay
    return ensure_overlay(package, version, cache=cache, extra=(*extra, *added))


def _suspects(overlay: Path) -> Iterator[str]:
    """Names imported at the left margin of some module that neither overlay nor we have."""
    modules = [path for path in overlay.rglob("*.py") if not path.name.endswith("_test.py")]
    names = {name for path in modules for name in _imports(path)} - set(sys.stdlib_module_names)
    return (name for name in sorted(names) if not _present(name, overlay))


def _present(name: str, overlay: Path) -> bool:
    inside = (overlay / name).exists() or (overlay / f"{name}.py").exists()
    return inside or importlib.util.find_spec(name) is not None


def _imports(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.findall(r"^(?:import|from) ([A-Za-z_]\w*)", text, re.MULTILINE)


def _find_missing(
    package: str, version: str, extra: tuple[str, ...], cache: Path | None
) -> tuple[str, ...]:
    added: list[str] = []
    for _ in range(_ROUNDS):
        overlay = ensure_overlay(package, version, cache=cache, extra=(*extra, *added))
        missing = _missing_module(package, overlay)
        if missing is None:
            return tuple(added)
        requirement = _requirement(missing, overlay)
        if missing in _HEAVY or requirement in added:
            raise StackError(
                f"{package} {version} needs {missing}, which this environment lacks.",
                f"Install it: pip install {requirement}",
            )
        added.append(requirement)
    raise StackError(
        f"{package} {version} lacks more than {_ROUNDS} packages in this environment: {added}.",
        "Install them beside the newest release that needs them.",
    )


def _missing_module(package: str, overlay: Path) -> str | None:
    """The top-level module whose absence stops `import package`; None where it imports or fails
    for another reason (the inner run will show that one in full)."""
    probe = (
        f"import sys\ntry:\n    import {package.replace('-', '_')}\n"
        "except ModuleNotFoundError as error:\n    sys.stderr.write('\\nMISSING ' + error.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=overlay_environment([overlay]),
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"^MISSING ([\w.]+)$", done.stderr, re.MULTILINE)
    return match[1].partition(".")[0] if match else None


def _requirement(module: str, overlay: Path) -> str:
    """The requirement that brings `module`: as the release declares it, else by name."""
    distribution = _DISTRIBUTIONS.get(module, module)
    for text in _declared(overlay):
        try:
            declared = Requirement(text)
        except InvalidRequirement:
            continue
        if declared.name.lower() == distribution and declared.marker is None:
            return f"{declared.name}{declared.specifier}"
    return distribution


def _declared(overlay: Path) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in overlay.glob("*.dist-info/METADATA")]
    return [line for text in texts for line in re.findall(r"^Requires-Dist: (.+)$", text, re.M)]


def _memory(overlay: Path, cache: Path | None) -> Path:
    # Another environment may have what this one lacks.
    environment = re.sub(r"\W+", "_", sys.prefix).strip("_")
    return cache_root(cache) / f".neighbours-{overlay.name}-{environment}.json"


def _fingerprint() -> list[object]:
    site = Path(os.__file__).parent / "site-packages"
    folders = [Path(entry) for entry in sys.path if entry.endswith("site-packages")] or [site]
    times = (folder.stat().st_mtime_ns for folder in folders)
    return [os.environ.get("KERAS_BACKEND"), list(sys.path), *times]


def _remembered(overlay: Path, cache: Path | None) -> tuple[str, ...] | None:
    try:
        known: Mapping[str, list[str]] = json.loads(_memory(overlay, cache).read_text())
    except (OSError, ValueError):
        return None
    return tuple(known["added"]) if known.get("environment") == _fingerprint() else None


def _remember(overlay: Path, added: tuple[str, ...], cache: Path | None) -> None:
    known = {"environment": _fingerprint(), "added": list(added)}
    file = _memory(overlay, cache)
    with writing_cache(file):
        write_whole(file, json.dumps(known))
