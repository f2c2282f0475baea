"""Class-level patches that many watches, in any threads and any order of leaving, can share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Protocol

Run = Callable[..., Any]


class Watcher(Protocol):
    """Who stands behind a patch. `thread` is the identifier of the only thread that it sees."""

    thread: int

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any: ...


class Patch:
    """Replaces one callable attribute of a class or module while anybody watches it.

    Watchers are asked innermost first in order of arrival. Saving and restoring per watcher would
    put a dead wrapper back when two threads leave in the order in which they came.
    """

    def __init__(self, owner: Any, attribute: str) -> None:
        self.owner = owner
        self.attribute = attribute
        self.original: Run = vars(owner)[attribute]
        self.watchers: list[Watcher] = []
        self.function = self._function()

    def _function(self) -> Run:
        original, watchers, method = self.original, self.watchers, self.attribute

        @wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            run = original
            thread = threading.get_ident()
            here = [watcher for watcher in watchers if watcher.thread == thread]
            if watchers and not here:
                _tell_elsewhere(watchers, method)
            if thread in _ALONE:
                here = [watcher for watcher in here if watcher is _ALONE[thread]]
            for watcher in sorted(here, key=_is_outside):
                run = partial(watcher.intercept, method, run)
            return run(*args, **kwargs)

        watched.__golden_patch__ = self  # type: ignore[attr-defined]
        return watched

    def close(self) -> None:
        # Someone else's patch may lie on top; an idle patch below it only passes calls on.
        if vars(self.owner).get(self.attribute) is self.function:
            setattr(self.owner, self.attribute, self.original)


_ALONE: dict[int, Watcher | None] = {}
"""Threads whose calls only one watcher, or nobody, is told of."""


@contextmanager
def alone(watcher: Watcher | None) -> Iterator[None]:
    """Tell only `watcher`, or nobody, of this thread's calls inside the block."""
    thread = threading.get_ident()
    before = _ALONE.get(thread, _EVERYBODY)
    _ALONE[thread] = watcher
    try:
        yield
    finally:
        if before is _EVERYBODY:
            del _ALONE[thread]
        else:
            _ALONE[thread] = before


_EVERYBODY: Any = object()


def _tell_elsewhere(watchers: Iterable[Watcher], method: str) -> None:
    """A call in a thread that nobody watches, for those who count them."""
    for watcher in watchers:
        elsewhere = getattr(watcher, "elsewhere", None)
        if elsewhere is not None:
            elsewhere(method)


def _is_outside(watcher: Watcher) -> bool:
    """Watchers that change what is called stand around those that record it."""
    return getattr(watcher, "outside", False)


_LOCK = threading.RLock()


def watch(places: Iterable[tuple[Any, str]], watcher: Watcher) -> list[Patch]:
    """Put `watcher` behind a patch at each (owner, attribute); give the result to `unwatch`."""
    with _LOCK:
        patched = [_patch_at(owner, attribute) for owner, attribute in places]
        for patch in patched:
            patch.watchers.append(watcher)
        return patched


def unwatch(patched: Iterable[Patch], watcher: Watcher) -> None:
    """Take `watcher` away; the last one to leave a patch restores the original attribute."""
    with _LOCK:
        for patch in patched:
            patch.watchers.remove(watcher)
            if not patch.watchers:
                patch.close()


def _patch_at(owner: Any, attribute: str) -> Patch:
    current = vars(owner)[attribute]
    patch = getattr(current, "__golden_patch__", None)
    # `functools.wraps` around a patch copies the mark without being the patch.
    if isinstance(patch, Patch) and patch.function is current:
        return patch
    patch = _made(owner, attribute, current)
    setattr(owner, attribute, patch.function)
    return patch


_KEPT: dict[tuple[Any, str], Patch] = {}
"""Of what is there as long as the process: each test opens hundreds, and closes them."""


def _made(owner: Any, attribute: str, original: Run) -> Patch:
    kept = _KEPT.get((owner, attribute))
    if kept is not None and kept.original is original:
        return kept
    patch = Patch(owner, attribute)
    if _stays(owner):
        _KEPT[owner, attribute] = patch
    return patch


def _stays(owner: Any) -> bool:
    """Whether it is a class of Keras', at the top of its module. Others may be a test's, which
    looks whether they are gone."""
    module = str(getattr(owner, "__module__", ""))
    name = getattr(owner, "__qualname__", "")
    return module.startswith("keras.") and vars(sys.modules.get(module, owner)).get(name) is owner
