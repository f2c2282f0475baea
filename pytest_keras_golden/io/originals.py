"""What a test put in place of Python's own, taken away while this package works for the test.

Fixtures are torn down after a test has been judged, and a golden is read in its body: `open` may be
a mock there, a rename raise, the environment be empty, and the disk pyfakefs' - which takes a
golden, and forgets it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PosixPath, PurePath, WindowsPath
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MODULES = (
    *("builtins", "io", "os", "posixpath", "ntpath", "json", "math", "shutil", "tempfile", "time"),
)
_CLASSES = (PurePath, Path, PosixPath, WindowsPath)


@dataclass(frozen=True, slots=True)
class _Known:
    owners: tuple[tuple[Any, Mapping[str, Any]], ...]
    """Modules and classes, each with what it held."""

    environ: Mapping[str, str]


_RUNS: list[_Known] = []
"""Of the pytest runs of this process, the innermost last."""

_IN_PLACE: list[bool] = []
"""Not empty inside of `originals`."""


def remember() -> None:
    """A run of tests begins: what Python's own modules hold now is original."""
    owners = (*(sys.modules[name] for name in _MODULES if name in sys.modules), *_CLASSES)
    known = tuple((owner, dict(vars(owner))) for owner in owners)
    _RUNS.append(_Known(known, dict(os.environ)))


def forget() -> None:
    """The innermost run has ended."""
    _RUNS.pop()


@contextmanager
def originals() -> Iterator[None]:
    """With what was remembered in its place; afterwards as the test has it, again."""
    if _IN_PLACE:
        yield
        return
    with ExitStack() as again:
        _IN_PLACE.append(True)
        again.callback(_IN_PLACE.clear)
        again.enter_context(_without_fake_files())
        for run in _RUNS[-1:]:
            for owner, known in run.owners:
                _put_back(owner, known, again)
            _put_environ_back(run.environ, again)
        yield


def with_originals(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        with originals():
            return function(*args, **kwargs)

    return called


def _put_back(owner: Any, known: Mapping[str, Any], again: ExitStack) -> None:
    there = vars(owner)
    changed = [name for name, value in known.items() if there.get(name, owner) is not value]
    for name in changed:
        if name in there:
            again.callback(setattr, owner, name, there[name])
        else:
            again.callback(delattr, owner, name)
        setattr(owner, name, known[name])
    # A module loses nothing by more names; in a class they come before those it inherits.
    for name in [*there] if isinstance(owner, type) else ():
        if name not in known:
            again.callback(setattr, owner, name, there[name])
            delattr(owner, name)


def _put_environ_back(known: Mapping[str, str], again: ExitStack) -> None:
    current = dict(os.environ)
    # pytest's own, which it sets for each test.
    names = (current.keys() | known.keys()) - {"PYTEST_CURRENT_TEST"}
    changed = {name for name in names if current.get(name) != known.get(name)}
    if changed:
        again.callback(_take_over, current, changed)
        _take_over(known, changed)


def _take_over(wanted: Mapping[str, str], names: set[str]) -> None:
    for name in names:
        if name in wanted:
            os.environ[name] = wanted[name]
        else:
            os.environ.pop(name, None)


def _without_fake_files() -> AbstractContextManager[Any]:
    """pyfakefs replaces modules in the globals of all others, which only it can undo."""
    module = sys.modules.get("pyfakefs.fake_filesystem_unittest")
    fake = getattr(getattr(getattr(module, "Patcher", None), "PATCHER", None), "fs", None)
    if module is None or fake is None or getattr(fake.patcher, "_paused", False):
        return nullcontext()
    paused: AbstractContextManager[Any] = module.Pause(fake)
    return paused
