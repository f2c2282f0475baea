"""Automatic capture of a test, from its first fixture to the end of its body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..config import Settings

if TYPE_CHECKING:
    from ..capture.unseen import Unseen
    from ..case.collected import Case


class Automatic:
    """Opens and closes the block of the test that runs; one per pytest case."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._unseen: Unseen | None = None
        self._open: ExitStack | None = None
        self._imported: dict[str, Counter[str]] = {}

    @contextmanager
    def importing(self, module: str) -> Generator[None, None, None]:
        """While a test module is imported, `module` by its node id: what Keras computes there
        belongs to no one test, and every test of the module may use it."""
        unseen = self._watching()
        counts = self._imported[module] = Counter()
        try:
            with unseen.importing(counts):
                yield
        finally:
            # Anew for the tests: the module may have classes of its own by then.
            unseen.close()

    def begin(self, case: Case) -> None:
        """Before the first fixture of a test that captures automatically."""
        case.saw(False, self._imported.get(case.nodeid.partition("::")[0], {}))
        self._open = ExitStack()
        self._open.enter_context(self.block(case))

    @contextmanager
    def block(self, case: Case) -> Generator[None, None, None]:
        """Capture every call inside for the case; nothing where the block raises."""
        from ..capture.auto import automatic_block
        from ..capture.tap.limit import Limit
        from ..capture.tap.request import Request
        from ..case.against import CaseGolden

        unseen = self._watching()
        request = Request(
            select=self._settings.select,
            limit=Limit(self._settings.max_bytes, self._settings.rows),
            aliases=tuple(self._settings.aliases.items()),
            isolate=case.examines,
            isolation_bytes=self._settings.max_size,
            steps=self._settings.steps,
            note=None if case.asked_for else case.notes.append,
        )
        counts: Counter[str] = Counter()
        started = automatic_block(case.add_block, request, CaseGolden(case))
        ended = ExitStack()
        with ended, started as block, unseen.counting(counts, lambda: block.is_busy):
            # What programs ran is known when the block has ended.
            ended.callback(lambda: case.saw(block.saw_calls, {**block.unseen, **counts}))
            yield

    def _watching(self) -> Unseen:
        if self._unseen is None:
            from ..capture.unseen import Unseen

            self._unseen = Unseen()
        self._unseen.watch()
        return self._unseen

    def end(self, *error: Any) -> None:
        """When the body has ended, or will not run; `error` as for a context manager's exit."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.__exit__(*(error or (None, None, None)))

    def close(self) -> None:
        """At the end of the session: Keras is as it was before."""
        if self._unseen is not None:
            self._unseen.close()

    @contextmanager
    def shared(self) -> Generator[None, None, None]:
        """While a fixture is set up that other tests use as well: its calls are not this test's."""
        if self._open is None or self._unseen is None:
            yield
            return
        from ..capture.unseen import SHARED

        with self._unseen.apart(SHARED):
            yield

    @contextmanager
    def after(self, case: Case) -> Generator[None, None, None]:
        """While fixtures of a test that has ended are torn down."""
        if self._unseen is None:
            yield
            return
        from ..capture.unseen import TEARDOWN

        counts: Counter[str] = Counter()
        with self._unseen.counting(counts, lambda: False), self._unseen.apart(TEARDOWN):
            yield
        case.saw(False, counts)
