"""Automatic capture: every outermost Keras call of a test that does not ask for the fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..errors import CaptureError
from .block import CaptureBlock, capture_block
from .examine import Against
from .tap.request import Request
from .watch.forgiving import problem

ALWAYS = "outputs"
"""Beside what `golden_select` names: what each outermost call returns."""


@contextmanager
def automatic_block(
    add: Callable[[CaptureBlock], None], request: Request, against: Against
) -> Iterator[CaptureBlock]:
    """Capture the calls inside the block and give what was seen to `add`.

    Nothing is given where the block raises. Without the request's `note` the test is marked, so
    that what cannot be captured, or no call at all, raises CaptureError.
    """
    note, ended = request.note, False
    chosen = replace(request, select=(*request.select, ALWAYS))
    try:
        with capture_block(None, chosen, against) as block:
            yield block
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
            f"the test is marked keras_versions, but {_nothing(block)}",
            "Call a model on arrays in its body, or ask for the golden_tensors fixture.",
        )


def _nothing(block: CaptureBlock) -> str:
    if block.saw_calls or any(block.unseen.values()):
        return f"its body gave no tensor: {block.why_empty}"
    return "no Keras model or layer was called in it"
