"""Seeds of golden tests, which other plugins must not undo.

pytest-randomly, say, reseeds Python and numpy before fixtures and again before the body, from a
seed of its own per run. So a golden test is seeded when its first fixture is set up, as late as
possible, and the generators continue in the body where the fixtures left them.

What outlives a test (fixtures of wider scopes, imported modules) has a seed of its own: it must be
the same whichever test comes first, and must take nothing from the test that it is made for.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from ..errors import GoldenError

if TYPE_CHECKING:
    from ..capture.state.variables import Snapshot


class Seeding:
    """One per session; knows the test that waits for its seed.

    repeats: bodies are to be run again, so that the state in which they begin is kept.
    """

    def __init__(self, seed: int | None, repeats: bool = False) -> None:
        self.repeats = repeats
        self._seed = seed
        self._own: int | None = None
        self._active = self._waiting = False
        self._after_setup: tuple[Any, Any] | None = None
        self._body: Snapshot | None = None

    def begin(self, name: str | None = None) -> None:
        """A golden test is about to be set up. name: gives it a seed of its own.

        Tests that did not ask for a seed must not all start from the same numbers.
        """
        self.end()
        self._active = self._waiting = self._seed is not None
        self._own = None if name is None else self._named(name)
        self._after_setup = None
        self._body = None

    def leave_alone(self) -> None:
        """A test is about to be set up that has the random numbers it would have without us."""
        self.end()
        self._after_setup = self._body = None

    def end(self) -> None:
        """No test has a seed any more: what reads the system's entropy gets that again."""
        if self._active:
            from ..capture.state.entropy import leave_entropy

            leave_entropy()
        self._active = self._waiting = False

    @property
    def active(self) -> bool:
        """Whether the test that runs was seeded."""
        return self._active

    def before_fixture(self) -> None:
        if self._waiting:
            self._waiting = False
            self.seed()

    def after_setup(self) -> None:
        self.before_fixture()
        if self._active:
            import numpy as np

            self._after_setup = random.getstate(), np.random.get_state()

    def seed(self) -> None:
        seed = self._seed if self._own is None else self._own
        if seed is not None:
            from ..capture.state.seeds import seed_everything

            seed_everything(seed)

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """Seeded by a name, other generators and seeds afterwards as they were before.

        Not where Keras cannot be imported: golden tests say so, and others must run as ever.
        """
        if self._seed is None or not _keras_imports():
            yield
            return
        from ..capture.state.seeds import seed_everything
        from ..capture.state.variables import unchanged

        with unchanged(()):
            # Two models of two fixtures must not start from the same numbers.
            seed_everything(self._named(name))
            yield

    @contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """As `apart`, for a test module: Keras takes part where its backend is settled.

        A module may choose the backend itself, before it imports Keras.
        """
        if self._seed is None or _keras_may_be_imported():
            with self.apart(name):
                yield
            return
        import numpy as np

        from ..capture.state.entropy import entropy_state, seed_entropy, set_entropy_state

        python, numpy, entropy = random.getstate(), np.random.get_state(), entropy_state()
        random.seed(self._named(name))
        np.random.seed(self._named(name))
        seed_entropy(self._named(name))
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            set_entropy_state(entropy)

    def _named(self, name: str) -> int:
        return ((self._seed or 0) + crc32(name.encode())) % 2**32

    @contextmanager
    def continued(self, item: pytest.Item) -> Iterator[None]:
        """Let the body of `item` go on from the state in which its fixtures left the generators."""
        if self._after_setup is None and not self.repeats:
            yield
            return
        vars(item)["runtest"] = lambda: self._continue(item)
        try:
            yield
        finally:
            vars(item).pop("runtest", None)

    def _continue(self, item: pytest.Item) -> None:
        import numpy as np

        if self._after_setup is not None:
            python, numpy = self._after_setup
            random.setstate(python)
            np.random.set_state(numpy)
        if self.repeats:
            from ..capture.state.variables import Snapshot

            self._body = Snapshot()
        type(item).runtest(item)

    def back_to_the_body(self) -> None:
        """Every generator as it was when the body began, for running it again."""
        if self._body is not None:
            self._body.restore()


def _keras_may_be_imported() -> bool:
    return ("keras" in sys.modules or "KERAS_BACKEND" in os.environ) and _keras_imports()


def _keras_imports() -> bool:
    from ..stack import import_keras

    try:
        import_keras()
    except GoldenError:
        return False
    return True
