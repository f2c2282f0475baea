"""What the plugin runs again says nothing: the test has heard it, or will, from its own run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, warnings are neither shown nor errors, as a suite's `-W error` makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
