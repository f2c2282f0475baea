"""Automatic capture stands back: what it cannot take is noted, and the test goes on as without it.

Tests that did not ask to be watched call layers on sparse tensors, on strings, with arguments that
nobody can store. Marked tests and capture blocks fail on them; a suite that only switched
`golden_auto` on must not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ...errors import GoldenError
from .calls import Call, Observer, Watch
from .patches import Run

Note = Callable[[str], None]


class Forgiving:
    """Stands around an observer; takes `watch` when the block has begun.

    An error of the observer, but none of the watched call itself, ends in `note`. A call that had
    not run by then runs unseen.
    """

    watch: Watch | None = None

    def __init__(self, observer: Observer, note: Note) -> None:
        self._observer = observer
        self._note = note

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        once = Once(run)
        try:
            return self._observer.around(call, once, args, kwargs)
        except Exception as error:
            if error is once.failure:
                raise
            self._note(f"{call.name}: {problem(error)}")
        if once.done:
            return once.returned
        with self.watch.paused() if self.watch is not None else nullcontext():
            return run(*args, **kwargs)


class Once:
    """The watched call, which remembers how it ended."""

    done = False
    returned: Any = None
    failure: BaseException | None = None

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            self.returned = self._run(*args, **kwargs)
        except BaseException as error:
            self.failure = error
            raise
        self.done = True
        return self.returned


def problem(error: BaseException) -> str:
    """The error in a line."""
    if isinstance(error, GoldenError):
        return error.problem
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
