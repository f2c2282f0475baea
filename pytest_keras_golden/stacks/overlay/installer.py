"""Put one package, and nothing else, into a folder: with uv, or with pip where uv is absent.

Both clients read the user's own index configuration; none is named here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...errors import StackError
from ...io.atomic import write_whole
from .named import requirement


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that overlays are for. tag: of the folder that holds those of its kind."""

    executable: str
    tag: str


TIMEOUT = 900.0
"""Seconds after which an installation counts as hung."""


def find_uv() -> list[str] | None:
    """The command that runs uv: beside this Python, on PATH, or as a module; None where absent.

    `KERAS_GOLDEN_INSTALLER=pip` leaves uv aside.
    """
    if os.environ.get("KERAS_GOLDEN_INSTALLER", "uv") == "pip":
        return None
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return [str(beside)]
    on_path = shutil.which("uv")
    if on_path:
        return [on_path]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def install(
    requirements: Sequence[str],
    target: Path,
    *,
    hashes: Sequence[str] = (),
    python: str | None = None,
) -> None:
    """Install `requirements` without their dependencies into the folder `target`.

    hashes: of the files that a single requirement may be installed from. python: whom for, this
    one where it is None. Raises ConfigError for what is no name with versions, StackError with
    the installer's own words where installing fails.
    """
    named = [requirement(text) for text in requirements]
    if not hashes:
        _run(["--", *named], target, requirements, python)
        return
    with TemporaryDirectory(prefix="kg-pins-") as folder:
        pins = Path(folder) / "requirements.txt"
        allowed = " ".join(f"--hash={digest}" for digest in hashes)
        write_whole(pins, "".join(f"{text} {allowed}\n" for text in named))
        _run(["--require-hashes", "-r", str(pins)], target, requirements, python)


def install_wheel(wheel: Path, target: Path, python: str | None = None) -> None:
    """Install a wheel file as `install` does."""
    _run(["--", str(wheel)], target, [wheel.name], python)


def _run(
    what: Sequence[str], target: Path, requirements: Sequence[str], python: str | None
) -> None:
    command = [*_client(python), *_SHARED, str(target), *what]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=_quiet(os.environ),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(
            f"Installing {' '.join(requirements)} took more than {TIMEOUT:.0f} s and was ended.",
            "Check the connection to the package index, then run again.",
        ) from error
    if done.returncode:
        raise _failure(requirements, done.stderr.strip() or done.stdout.strip())


_SHARED = ("--quiet", "--no-deps", "--target")


def _client(python: str | None) -> list[str]:
    uv = find_uv()
    if uv:
        # Copies, since a hard link into uv's cache lets damage to an overlay spread to the cache.
        return [*uv, "pip", "install", "--link-mode", "copy", "--python", python or sys.executable]
    if python not in (None, sys.executable):
        raise StackError(
            f"Overlays for {python} need uv, which is not installed.",
            "Install it: pip install 'pytest-keras-golden[versions]'",
        )
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    raise StackError(
        f"Overlays need uv, or pip in the environment of {sys.executable}; neither is there.",
        "Install one: pip install 'pytest-keras-golden[versions]'",
    )


def _quiet(environ: Mapping[str, str]) -> dict[str, str]:
    # A --target install asks nothing of these, and pip warns about their packages.
    return {key: value for key, value in environ.items() if key not in {"PYTHONPATH", "PIP_USER"}}


_UNKNOWN = ("no version of", "No matching distribution", "not found in the package registry")


def _failure(requirements: Sequence[str], said: str) -> StackError:
    wanted = " ".join(requirements)
    name = requirements[0].split("==")[0]
    there = f"See what there is: keras-golden overlays releases '>=0' --package={name}"
    if any(phrase in said for phrase in _UNKNOWN):
        python = sys.version.split()[0]
        return StackError(
            f"The package index offers no {wanted} for Python {python}: {_why(said)}", there
        )
    hashes = _HASH.findall(said) if any(phrase in said for phrase in _OTHER) else []
    if len(hashes) > 1:
        *locked, found = hashes
        return StackError(
            f"{wanted} is not the file of the lock: hash mismatch, {' or '.join(locked)} is not "
            f"{found}",
            "Lock it again where the index is trusted; else find out who changed the file.",
        )
    is_there = any(phrase in said for phrase in _UNFIT)
    fix = (
        f"Name a release that has a wheel for this Python, or builds here. {there}"
        if is_there
        else "Check the connection to the package index, and pip's or uv's index settings."
    )
    return StackError(f"{wanted} could not be installed: {_why(said)}", fix)


_OTHER = ("Hash mismatch", "DO NOT MATCH THE HASHES")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")

_UNFIT = ("Failed to build", "no wheels with a matching", "has no usable wheels", "building wheel")
"""What installers say of a release that the index has, and that is nothing for this machine."""


_ADVICE = ("hint:", "note:", "╰─▶ hint:")
_BEGINS = ("error:", "cause:")


def _why(said: str) -> str:
    """The last line that says what went wrong, whole where it is wrapped: before it stand a build's
    output and its traceback, behind it advice."""
    lines = [line.strip() for line in said.splitlines()]
    advice = next((at for at, line in enumerate(lines) if line.startswith(_ADVICE)), len(lines))
    paragraphs = [part for part in "\n".join(lines[:advice]).split("\n\n") if part.strip()]
    last = (paragraphs or lines or ["it gave no reason"])[-1].strip().splitlines() or [""]
    begins = [at for at, line in enumerate(last) if line.startswith(_BEGINS)]
    return " ".join(last[begins[-1] if begins else -1 :]).removeprefix("cause: ")
