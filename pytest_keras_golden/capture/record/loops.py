"""`fit` and `evaluate`, which run once, whatever they read.

What their steps make is watched from step to step; of the layers only the first step is looked
into, by making it again where it moved. A loop that raises is recorded as far as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...records import ObserverEffect, TensorRecord
from ..state.models import ModelState, is_built, kept
from ..watch.forgiving import Note, problem
from .again import Again, Meanwhile, NotAgain
from .batches import Batches
from .eager import Ended
from .methods import MethodCall

if TYPE_CHECKING:
    from .reads import Reads

RunFirst = Callable[[], "Ended | None"]
"""The first batch of a call as an eager call that can be made again; None where none was made."""

Finish = Callable[[MethodCall, "Sequence[TensorRecord]", Any, Mapping[str, str], RunFirst], None]
"""Told the records of a call, what it returned, digests of what it read, and its first batch."""


class StepWatcher(Protocol):
    """What watches the steps of a model's methods, and has the records of them."""

    @property
    def reads(self) -> Reads:
        """Which it settles after every step."""

    def around(self, model: Any, twice: bool = False) -> AbstractContextManager[Any]:
        """twice: it is the test's own run, which nothing may change."""

    def unheard(self, model: Any, step: str) -> AbstractContextManager[None]:
        """Inside, nobody hears of the model's steps; of functions made there they can be told
        later."""

    def apart(self) -> AbstractContextManager[None]:
        """Inside, no optimizer is at work for a loop of the test's own."""

    def state_of(self, model: Any, step: str) -> Iterable[str]:
        """What tells a step beside its numbers: names of what it writes, how many ran before."""

    def stood(self, model: Any, step: str, known: Sequence[TensorRecord]) -> None:
        """A step ran that is the golden's own, and that nobody watched. known: its records."""

    def steps(self, run: Any) -> int:
        """How many ran to their ends."""

    def records(self, run: Any, returned: Any) -> Sequence[TensorRecord]:
        """Raises what could not be read of the steps."""


@dataclass(frozen=True)
class Loop:
    """One call. note: takes what cannot be captured, which else raises. nothing: told of a call
    of which no step ran to its end, so that nothing is recorded. observed: what watching did."""

    asked: MethodCall
    training: StepWatcher
    again: Again
    paused: Meanwhile
    finish: Finish
    nothing: Callable[[str], None]
    observed: Callable[[ObserverEffect | None], None]
    note: Note | None = None

    def run(self) -> Any:
        __tracebackhide__ = True
        asked, model = self.asked, self.asked.model
        before: list[ModelState] = []

        def hold() -> None:
            if is_built(model) and not before:
                before.append(ModelState(model))

        hold()
        batches = Batches(self.training.reads, asked.name, most=1)
        run = None
        try:
            with ExitStack() as stack:
                stack.enter_context(self.paused())
                run = stack.enter_context(self.training.around(model, twice=True))
                run.built, run.given, run.call = hold, batches, asked.name
                returned = asked.run(*asked.args, **asked.kwargs)
        except BaseException as error:
            self._raised(run, batches, error)
            raise

        if not self.training.steps(run) and run.failure is None:
            self.nothing(asked.method)
            return returned

        def run_first() -> Ended | None:
            if not before:
                raise NotAgain("the model was not built before its training began")
            with before[0].around():
                return self.again.run(asked, batches.first())

        self.observed(run.observer)
        if run.outside:
            self.nothing(f"inside of {asked.method}")
        self._finish(run, returned, batches, run_first)
        return returned

    def _raised(self, run: Any, batches: Batches, error: BaseException) -> None:
        """Nothing of it runs again: what broke it off may do so once more."""
        if run is None or not self.training.steps(run):
            self.nothing(self.asked.method)
            return
        why = f"{self.asked.method} was left by {type(error).__name__}"

        def run_first() -> Ended | None:
            raise NotAgain(why)

        if self.note is not None:
            last, kind = self.training.steps(run) - 1, type(error).__name__
            self.note(f"{self.asked.method}: what follows step {last}, where {kind} ended it")
        try:
            self._finish(run, None, batches, run_first)
        except Exception:  # the test's own error is the one to be told
            self.nothing(self.asked.method)

    def _finish(self, run: Any, returned: Any, batches: Batches, run_first: RunFirst) -> None:
        asked = self.asked
        try:
            read = batches.digests_of(asked.repeatable)
            with kept(asked.model):
                self.finish(asked, self.training.records(run, returned), returned, read, run_first)
        except Exception as error:
            if self.note is None:
                raise
            self.note(f"{asked.method}: {problem(error)}")
