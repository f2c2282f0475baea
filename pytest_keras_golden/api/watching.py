"""Calls of models watched outside of pytest: nothing is compared, nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from ..config import DEFAULT_SELECT
from ..errors import CaptureError
from ..records import GoldenHeader
from .tensors import Tensors, described

if TYPE_CHECKING:
    from ..capture.block import CaptureBlock

CAPTURED = "the captured calls"


def watched(
    model: Any | None, select: str | Sequence[str], rows: int | None = None
) -> AbstractContextManager[CaptureBlock]:
    """A block as a test's, without a golden; model None: every layer that is called outermost."""
    from ..capture.block import capture_block
    from ..capture.tap.limit import Limit
    from ..capture.tap.request import Request, chosen

    asked = Request(select=chosen(select), isolate=False, limit=Limit(None, rows))
    return capture_block(model, asked)


@contextmanager
def capture(
    model: Any, *, select: str | Sequence[str] = DEFAULT_SELECT, rows: int | None = None
) -> Iterator[Tensors]:
    """Record what the calls of `model` inside the block compute, by structural layer name.

    select: groups (`attention`, `logits`, `blocks`, `all`) and globs over structural names. rows:
    keep this many of the first and of the last rows (axis -2) of every tensor. Eager calls,
    `predict` and its kin, and jitted calls are seen. Yields tensors that fill while the block runs;
    `stack`, `dtypes` and the like are there when it has ended. Raises CaptureError at the end of a
    block that saw nothing.
    """
    __tracebackhide__ = True
    from ..capture.record.eager import policy_name
    from ..capture.tap.request import valid_rows
    from ..stack import running_stack

    with watched(model, select, None if rows is None else valid_rows(rows)) as block:
        tensors = Tensors(CAPTURED, GoldenHeader(stack={}, mode="eager", tensors=()), block.tensors)
        yield tensors
    if not block.records:
        raise CaptureError(
            "a capture block recorded nothing",
            "Call the model inside the block, or choose layers with select=; select='all' takes "
            "every layer.",
        )
    stack = running_stack(block.policy or policy_name(model))
    tensors.complete(described(block.records, CAPTURED, stack, block.mode))
