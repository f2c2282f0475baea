"""What a process reads while it runs: the audit hook of an inner run.

It sees every file that Python opens, the folders it lists, and what would let other processes or
machines decide a number. What C code opens goes past it: HDF5 files are noted here by h5py itself,
and `evidence` looks at everything below the suite's folder.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import FrameType
from typing import Any

from .heard import Heard, data_beside, names, state

SKIPPED = ("/proc/", "/dev/", "/sys/")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.remove": (1,),
    "os.mkdir": (2,),
    "os.rmdir": (1,),
    "os.truncate": (),
    "os.utime": (3,),
}
_MOVES = {"os.rename": (2, 3), "os.link": (2, 3), "os.symlink": (2,)}
"""Events, and which of their arguments are descriptors of folders that paths are relative to."""
_PROCESSES = frozenset(
    {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"}
)
_NETWORK = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
HARMLESS = frozenset({"uname"})
"""Programs that say what the machine is, which `evidence` knows."""
_WORKER = "exec(eval(sys.stdin.readline()))"
"""How execnet starts a worker of pytest-xdist, which testifies for itself."""
_BY_NAME = frozenset({"jax._src.numpy.array_constructors"})
"""Modules that go through the names of all that is installed, looking for plugins of their own."""
_METADATA = f".dist-info{os.sep}METADATA"
_OWN_SOCKETS = frozenset({"pytest_rerunfailures"})
"""Modules that connect the processes of one run with each other, and with nothing else."""


_SCRATCH = re.compile(r"[/\\]pytest-of-[^/\\]+([/\\]pytest-\d+)?$")
"""pytest's own temporary folders: every run finds others in them."""


class Listener:
    """The hook. own: folders whose files are the run's own business."""

    def __init__(self, own: Sequence[str]) -> None:
        self.heard = Heard()
        self._own = (*SKIPPED, *(os.path.join(folder, "") for folder in own))
        self._busy: set[int] = set()
        self._met: set[str] = set()
        self._made: set[str] = set()
        self._installed = tuple(
            dict.fromkeys(os.path.join(p, "") for p in (sys.prefix, sys.base_prefix))
        )
        self._scratch = tempfile.gettempdir()
        self._h5py_seen = False

    def start(self) -> None:
        """Listen to this process from now on; what was imported before is noted now, with the
        folders in which imports look."""
        for module in list(sys.modules.values()):
            self._read(getattr(module, "__file__", None))
        for folder in list(sys.path_importer_cache):
            self._listed("os.listdir", (folder,))
        sys.addaudithook(self._hook)

    def finish(self) -> Heard:
        for module in list(sys.modules.values()):
            self._read(getattr(module, "__file__", None))
        if any(name.startswith("multiprocessing.popen_") for name in sys.modules):
            self._doubt("it started processes by multiprocessing")
        return self.heard

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _HEARD:
            return
        thread = threading.get_ident()
        if thread in self._busy:
            return
        self._busy.add(thread)
        try:
            _HEARD[event](self, event, arguments)
            self._watch_h5py()
        except Exception as error:
            self._doubt(f"{event} could not be noted: {error!r}")
        finally:
            self._busy.discard(thread)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        if isinstance(mode, str):
            writes, reads = bool(set("wax+") & set(mode)), not set("wax") & set(mode)
        else:
            writes, reads = bool(flags & _WRITES), not flags & (os.O_WRONLY | os.O_TRUNC)
            # A relative path may be one of a folder's descriptor, of which the event says nothing.
            writes = writes and isinstance(path, str) and os.path.isabs(path)
        if reads:
            self._read(path)
        if writes:
            self._write(path)

    def _listed(self, event: str, arguments: tuple[Any, ...]) -> None:
        path = _absolute(arguments[0] if arguments[0] is not None else ".")
        if path is None or path in self.heard.listed or self._is_made(os.path.join(path, "")):
            return
        if not (self._is_fixed(path) or path == self._scratch or _SCRATCH.search(path)):
            self.heard.listed[path] = names(path)

    def _changed(self, event: str, arguments: tuple[Any, ...]) -> None:
        if all(arguments[place] == -1 for place in _CHANGES[event]):
            self._read(arguments[0])
            self._write(arguments[0])
            if event == "os.mkdir":
                self._make(arguments[0])

    def _make(self, given: Any) -> None:
        """A folder that was not there before holds what this run puts into it, by whatever code."""
        path = _absolute(given)
        if path is not None and not os.path.lexists(path):
            self._made |= {path, os.path.realpath(path)}

    def _is_made(self, path: str) -> bool:
        if not self._made:
            return False
        folder = os.path.dirname(path)
        while folder not in self._made and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        return folder in self._made

    def _moved(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What is linked or moved was an input if this process did not make it."""
        source, target = arguments[:2]
        if any(arguments[place] != -1 for place in _MOVES[event]):
            return
        self._read(source)
        self._write(target)
        if event == "os.rename":
            self._write(source)

    def _write(self, given: Any) -> None:
        path = _absolute(given)
        if path is not None and not path.startswith(SKIPPED):
            self.heard.written.add(path)

    def _imported(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._read(arguments[1])

    def _loaded(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = arguments[0]
        if isinstance(name, str) and os.sep in name:
            self._read(name)

    def _started(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            program, words = arguments[0], arguments[1]
            named = os.path.basename(os.fsdecode(program or words[0]))
            if named in HARMLESS or any(_WORKER in str(word) for word in words):
                return
            self._doubt(f"it started {named}")
            return
        self._doubt(f"it started a process ({event})")

    def _connected(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not _called_by(_OWN_SOCKETS):
            self._doubt("it used the network or another process's socket")

    def _doubt(self, why: str) -> None:
        self.heard.unproven = self.heard.unproven or why

    def _is_met(self, given: Any) -> bool:
        """Modules are met again when all is done, and then cost a look here."""
        if type(given) is not str or not os.path.isabs(given):
            return False
        met = given in self._met
        if not given.endswith(_METADATA):
            self._met.add(given)
        return met

    def _read(self, given: Any) -> None:
        if self._is_met(given):
            return
        path = _absolute(given)
        if path is None:
            return
        if path.endswith(".pyc"):
            path = _source_of(path)
        if path in self.heard.written or self._is_made(path):
            # What it links to may be an input all the same.
            path = os.path.realpath(path)
        known = path in self.heard.files or path in self.heard.written
        if known or path.startswith(self._own) or self._is_made(path) or _is_swept(path):
            return
        self.heard.files[path] = state(path)
        folder = os.path.dirname(path)
        if folder not in self.heard.beside and not self._is_fixed(folder):
            self.heard.beside[folder] = data_beside(folder)

    def _is_fixed(self, folder: str) -> bool:
        """Installed: the list of distributions says when that changes."""
        return f"{folder}{os.sep}".startswith((*self._installed, *self._own))

    def _watch_h5py(self) -> None:
        if self._h5py_seen:
            return
        h5py: Any = sys.modules.get("h5py")
        if h5py is not None and hasattr(h5py, "File"):
            self._h5py_seen = True
            h5py.File.__init__ = self._noting(h5py.File.__init__)

    def _noting(self, opens: Callable[..., None]) -> Callable[..., None]:
        @wraps(opens)
        def noting(file: Any, name: Any, mode: Any = "r", *arguments: Any, **options: Any) -> None:
            if mode in ("r", "r+", "a", None):
                self._read(name)
            if mode != "r":
                self._write(name)
            opens(file, name, mode, *arguments, **options)

        return noting


_HEARD: Mapping[str, Callable[[Listener, str, tuple[Any, ...]], None]] = {
    "open": Listener._opened,
    "os.listdir": Listener._listed,
    "os.scandir": Listener._listed,
    "import": Listener._imported,
    "ctypes.dlopen": Listener._loaded,
    "sqlite3.connect": Listener._loaded,
    "subprocess.Popen": Listener._started,
    **dict.fromkeys(_CHANGES, Listener._changed),
    **dict.fromkeys(_MOVES, Listener._moved),
    **dict.fromkeys(_PROCESSES, Listener._started),
    **dict.fromkeys(_NETWORK, Listener._connected),
}


def _absolute(path: Any) -> str | None:
    """A path as text, or None for a descriptor, a buffer, and what is no path."""
    if isinstance(path, (str, bytes, os.PathLike)):
        text = os.fsdecode(path)
        return os.path.abspath(text) if text else None
    return None


def _is_swept(path: str) -> bool:
    """Whether a package's metadata are read for its name alone."""
    return path.endswith(_METADATA) and _called_by(_BY_NAME)


def _called_by(modules: frozenset[str]) -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") not in modules:
        frame = frame.f_back
    return frame is not None


_TAG = f".{sys.implementation.cache_tag}"


def _source_of(path: str) -> str:
    """The source that a compiled file stands for; itself where there is none.

    pytest's own compiled files too, whose names `importlib` refuses.
    """
    folder, name = os.path.split(path)
    parent, cache = os.path.split(folder)
    source = os.path.join(parent, f"{name.partition(_TAG)[0]}.py")
    return source if cache == "__pycache__" and state(source) else path
