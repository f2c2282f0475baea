"""Seeds of golden tests, which other plugins must not undo.

pytest-randomly, say, reseeds Python and numpy before fixtures and again before the body, from a
seed of its own per run. So a golden test is seeded when its first fixture is set up, as late as
possible, and the generators continue in the body where the fixtures left them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Seeding:
    """One per session; knows the test that waits for its seed."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._waiting = False
        self._after_setup: tuple[Any, Any] | None = None

    def begin(self) -> None:
        """A golden test is about to be set up."""
        self._waiting = self._seed is not None
        self._after_setup = None

    def before_fixture(self) -> None:
        if self._waiting:
            self._waiting = False
            self.seed()

    def after_setup(self) -> None:
        self.before_fixture()
        if self._seed is not None:
            import numpy as np

            self._after_setup = random.getstate(), np.random.get_state()

    def seed(self) -> None:
        if self._seed is not None:
            from .stack import seed_everything

            seed_everything(self._seed)

    @contextmanager
    def continued(self, item: pytest.Item) -> Iterator[None]:
        """Let the body of `item` go on from the state in which its fixtures left the generators."""
        if self._after_setup is None:
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
        type(item).runtest(item)
