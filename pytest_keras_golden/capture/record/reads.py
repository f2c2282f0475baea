"""Reading tensors to the host: at once in eager execution, when the program runs in compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..backends import defer, is_concrete, to_numpy

if TYPE_CHECKING:
    from ...records import Array

Receive = Callable[["Array"], None]


class WayOut(Protocol):
    """A way out of the program that is being traced, other than a callback."""

    def takes(self, value: Any, receive: Receive) -> bool:
        """Whether it hands this value over."""


@dataclass(eq=False)
class Deferred:
    """A value that a program hands over each time that it runs. reads: whose it is now."""

    reads: Reads
    receive: Receive
    ready: Callable[[], None] | None = None

    def __call__(self, array: Array) -> None:
        self.reads.received(self.receive, array)

    def moves_to(self, reads: Reads) -> None:
        self.reads = reads
        if self.ready is not None:
            reads.wait_for(self.ready)

    def drop(self) -> None:
        """What was handed over is gone, and nobody hears of it."""
        receive, self.receive = self.receive, lambda array: None
        try:
            if self.ready is not None:
                self.ready()
        finally:
            self.receive = receive


class Reads:
    """The reads of one capture block.

    traced: whether a value of a compiled program was asked for. unreadable: how many values could
    be read neither at once nor later (vmap, loops on TensorFlow, abstract evaluation).
    """

    def __init__(self) -> None:
        self.traced = False
        self.unreadable = 0
        self._outlet: WayOut | None = None
        self._waiting: dict[Callable[[], None], None] = {}
        self._failure: BaseException | None = None
        self._open = True
        self._noted: list[Deferred] | None = None

    def read(self, value: Any, receive: Receive) -> None:
        """Give an own host copy of `value` to `receive`: now, or each time its program runs.

        `receive` may be called in another thread, but not after `close`.
        """
        if is_concrete(value):
            receive(to_numpy(value))
            return
        tap = Deferred(self, receive)
        if self._outlet is not None and self._outlet.takes(value, tap):
            self.traced = True
        else:
            self.call_back(value, tap)

    def call_back(self, value: Any, receive: Receive) -> None:
        """Have `receive` called back by the program being traced, each time it runs."""
        ready = defer(value, receive)
        if ready is None:
            self.unreadable += 1
            return
        self.wait_for(ready)
        if isinstance(receive, Deferred):
            receive.ready = ready
            if self._noted is not None:
                self._noted.append(receive)

    def wait_for(self, ready: Callable[[], None]) -> None:
        """Have what a program hands over fetched whenever reads settle."""
        self.traced = True
        self._waiting[ready] = None

    @contextmanager
    def noting(self, taps: list[Deferred]) -> Iterator[None]:
        """Inside, what programs call back is noted."""
        outer, self._noted = self._noted, taps
        try:
            yield
        finally:
            self._noted = outer

    @contextmanager
    def leaving_by(self, outlet: WayOut) -> Iterator[None]:
        """Inside, what is read leaves its program by `outlet`, where that takes it."""
        outer, self._outlet = self._outlet, outlet
        try:
            yield
        finally:
            self._outlet = outer

    def settle(self) -> None:
        """Wait until all programs that have run handed over their values.

        Raises the first error that a `receive` raised: inside the program it would come out as
        the backend's own, or abort the process.
        """
        for ready in self._waiting:
            ready()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Let go: a compiled function outlives its block and goes on calling back."""
        self._open = False
        self._waiting.clear()

    def received(self, receive: Receive, array: Array) -> None:
        try:
            if self._open:
                receive(array)
        except BaseException as error:
            self._failure = self._failure or error
