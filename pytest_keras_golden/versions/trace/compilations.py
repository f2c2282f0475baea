"""What jax compiled in one inner run is taken by the next ones of the same command.

Most bumps leave jax alone, and to compile the same operations again is most of what a suite of
small tests costs. jax writes an entry of its compilation cache where it stands, so that another
process could read half of one: each process has a folder of its own, in which what there is already
is linked, and hands over what it added when its tests have ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import GoldenError
from ...io.atomic import replacing
from ...io.ownership import claim, renew
from ...stack import cpu_flags, processors
from ...stacks.side import Side

COMPILED = "KERAS_GOLDEN_COMPILED"
"""Environment variable: the folder that runs share."""

FOLDER = "compiled"
"""In the folder of a command."""

MOST_BYTES = 256 << 20
"""That are kept. Where more has come together, it begins anew."""

_CACHE = "JAX_COMPILATION_CACHE_DIR"
_OFF = "JAX_ENABLE_COMPILATION_CACHE"
_LENT = "KERAS_GOLDEN_LENT"
"""Environment variable: the cache that was lent to the process above, a controller of xdist, say:
its workers have one each."""

_SETTINGS = {
    # XLA's own caches lie below the folder, and then its name is a part of each entry's.
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    # On some processors XLA logs an error for each entry that it loads, though it runs as compiled
    # (jax issue 38445): a suite that reads stderr would break under one side.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
QUIETLY = tuple(
    option
    for verb in ("reading", "writing")
    for option in ("-W", f"ignore:Error {verb} persistent compilation cache entry:UserWarning")
)
"""Options of pytest. jax warns of an entry that is of no use (a full disk, say) and compiles: where
warnings are errors, that would be a test that broke under one side."""

_COMPILERS = ("jax", "libtpu", "nvidia", "rocm", "intel")
"""How packages are called that have a part in compiling. jax tells its own releases apart, and no
builds of one."""

_ENDING = "-cache"
"""Of jax' entries."""


def folder_of(side: Side, command: Path) -> Path:
    """Where runs of that side find it, in the folder of the command: switches decide about what is
    compiled (XLA divides work among as many threads as it sees), and jax does not ask for all."""
    compilers = [
        (str(pin), str(pin.overlay))
        for pin in side.pins
        if pin.package.startswith(_COMPILERS) and not pin.own
    ]
    told = json.dumps([compilers, sorted(side.switches.items()), side.python])
    return command / FOLDER / hashlib.sha256(told.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Borrowed:
    """shared: of all runs. own: of this process. known: entries that were there when it began."""

    shared: Path
    own: Path
    known: frozenset[str]

    def hand_over(self) -> None:
        """Give the other runs what this process has added. Nothing is lost where that fails."""
        with suppress(OSError, GoldenError):
            size = sum(entry.stat().st_size for entry in _entries(self.shared))
            (renew if size > MOST_BYTES else claim)(self.shared)
            for entry in _entries(self.own):
                if entry.name not in self.known:
                    _place(entry, self.shared / entry.name)


def borrow(own: Path, environment: MutableMapping[str, str]) -> Borrowed | None:
    """Have jax look into `own`, a new folder, which holds what earlier runs compiled. None where
    nothing is shared, and where a cache was chosen already."""
    chosen = environment.get(_CACHE)
    if COMPILED not in environment or _OFF in environment:
        return None
    if chosen and chosen != environment.get(_LENT):
        return None
    shared = Path(f"{environment[COMPILED]}-{_machine()}")
    try:
        own.mkdir(parents=True)
        entries = list(_entries(shared))
        for entry in entries:
            _place(entry, own / entry.name)
    except (OSError, GoldenError):
        return None
    environment[_CACHE] = environment[_LENT] = str(own)
    for name, value in _SETTINGS.items():
        environment.setdefault(name, value)
    return Borrowed(shared, own, frozenset(entry.name for entry in entries))


def _machine() -> str:
    """XLA compiles for this processor, and divides work among as many as it may use; jax asks for
    neither. A folder that is kept may lie on several machines, one after the other or at once."""
    told = [platform.system(), platform.machine(), platform.processor(), processors()]
    return hashlib.sha256(json.dumps([*told, sorted(cpu_flags())]).encode()).hexdigest()[:8]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    if folder.is_dir():
        with os.scandir(folder) as found:
            yield from [entry for entry in found if entry.name.endswith(_ENDING)]


def _place(entry: os.DirEntry[str], target: Path) -> None:
    """Whole, whoever looks meanwhile."""
    with suppress(FileExistsError):
        try:
            os.link(entry.path, target)
        except FileExistsError:
            raise
        except OSError:  # no links between these folders
            with replacing(target) as file:
                file.write(Path(entry.path).read_bytes())
