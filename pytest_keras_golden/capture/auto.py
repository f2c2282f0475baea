"""Automatic capture: every outermost Keras call of a test that does not ask for the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..errors import CaptureError
from .block import CaptureBlock, capture_block

ALWAYS = "outputs"
"""Beside what `golden_select` names: what each outermost call returns."""


@contextmanager
def automatic_block(
    add: Callable[[CaptureBlock], None],
    *,
    select: Sequence[str],
    max_bytes: int | None,
    aliases: Mapping[str, str],
    explicit: bool,
) -> Iterator[None]:
    """Capture the calls inside the block and give what was seen to `add`.

    Nothing is given where the block raises. explicit: the test is marked, so that one without a
    call raises CaptureError.
    """
    chosen = (*select, ALWAYS)
    with capture_block(None, select=chosen, max_bytes=max_bytes, aliases=aliases) as block:
        yield
    if block.records:
        add(block)
    elif explicit:
        raise CaptureError(
            "the test is marked keras_versions, but no Keras model or layer was called in it",
            "Call a model on arrays in its body, or ask for the golden_tensors fixture.",
        )
