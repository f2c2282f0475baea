"""Automatic capture: every outermost Keras call of a test that does not ask for the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import CaptureError
from .block import capture_block

if TYPE_CHECKING:
    from ..session import Session

ALWAYS = "outputs"
"""Beside what `golden_select` names: what each outermost call returns."""


@contextmanager
def automatic_block(session: Session, *, explicit: bool) -> Iterator[None]:
    """Capture the calls inside the block into `session`; nothing where the block raises.

    explicit: the test is marked, so that one without a call raises CaptureError.
    """
    settings = session.settings
    with capture_block(
        None,
        select=(*settings.select, ALWAYS),
        max_bytes=settings.max_bytes,
        aliases=settings.aliases,
    ) as block:
        yield
    if block.records:
        session.add_block(block)
    elif explicit:
        raise CaptureError(
            "the test is marked keras_versions, but no Keras model or layer was called in it",
            "Call a model on arrays in its body, or ask for the golden_tensors fixture.",
        )
