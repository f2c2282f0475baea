"""What the plugin runs again says nothing and counts for nothing: the test has heard and counted
it, or will, in its own run."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from .tallies import Tallies


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


_NOWHERE = _Nowhere()


@contextmanager
def unnoticed(root: Any) -> Iterator[None]:
    """Inside, what `root` runs prints, logs and warns nothing, not even where a suite's `-W error`
    makes errors of warnings; and what code of the test's own counts is afterwards as it was."""
    tallies = Tallies(root)
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(_NOWHERE))
        stack.enter_context(redirect_stderr(_NOWHERE))
        stack.enter_context(_unlogged())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            tallies.restore()


@contextmanager
def _unlogged() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
