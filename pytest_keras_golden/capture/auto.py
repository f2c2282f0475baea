"""Automatic capture: every outermost Keras call of a test that does not ask for the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..errors import CaptureError
from .block import CaptureBlock, capture_block
from .forgiving import Note, problem
from .limit import Limit

ALWAYS = "outputs"
"""Beside what `golden_select` names: what each outermost call returns."""


@contextmanager
def automatic_block(
    add: Callable[[CaptureBlock], None],
    *,
    select: Sequence[str],
    limit: Limit,
    aliases: Mapping[str, str],
    isolation_bytes: int,
    note: Note | None,
) -> Iterator[None]:
    """Capture the calls inside the block and give what was seen to `add`.

    Nothing is given where the block raises. note: takes what cannot be captured, for tests that
    never asked for it. None: the test is marked, so that this, or no call at all, raises
    CaptureError.
    """
    chosen, ended = (*select, ALWAYS), False
    try:
        started = capture_block(
            None,
            select=chosen,
            limit=limit,
            aliases=aliases,
            isolation_bytes=isolation_bytes,
            note=note,
        )
        with started as block:
            yield
            ended = True
        if block.records:
            add(block)
    except CaptureError as error:
        if note is None or not ended:
            raise
        note(problem(error))
        return
    if note is None and not block.records:
        raise CaptureError(
            "the test is marked keras_versions, but no Keras model or layer was called in it",
            "Call a model on arrays in its body, or ask for the golden_tensors fixture.",
        )
