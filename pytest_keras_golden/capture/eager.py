"""The eager capture block: tensors, layer calls for isolation, and the calls to replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..records import LayerCall, TensorRecord
from .gates import Run
from .layers import LayerCapture, is_eager
from .watch import Call, watching

if TYPE_CHECKING:
    from ..records import Array


class EagerCapture:
    """What one eager block saw; `tensors` and `outermost` fill while it runs."""

    def __init__(self, select: Sequence[str], prefix: str, max_bytes: int | None) -> None:
        self._capture = LayerCapture(select, prefix=prefix, max_bytes=max_bytes)
        self.outermost: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.policy: str | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        return self._capture.sink.tensors

    @property
    def records(self) -> list[TensorRecord]:
        return self._capture.records

    @property
    def seen(self) -> int:
        return self._capture.taps.seen

    calls: Sequence[LayerCall] = ()
    pool: Mapping[str, Array] = {}

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if call.outermost:
            self.outermost.append((call.target, args, dict(kwargs)))
            self.policy = self.policy or policy_name(call.target)
        return self._capture.around(call, run, args, kwargs)

    def check(self) -> None:
        self._capture.selection.check()


def policy_name(target: Any) -> str | None:
    """Name of the dtype policy of a layer."""
    policy = getattr(target, "dtype_policy", None)
    return None if policy is None else str(policy.name)


@contextmanager
def capture_calls(
    model: Any | None,
    *,
    select: Sequence[str] = ("attention", "logits"),
    name_prefix: str | None = None,
    max_bytes: int | None = None,
    isolate: bool = True,
    aliases: Sequence[tuple[str, str]] = (),
) -> Iterator[EagerCapture]:
    """Record the eager calls of `model`, or of every outermost layer where it is None.

    name_prefix: put before every name with a slash. max_bytes: largest single tensor. Raises
    CaptureError for a tensor beyond it and for a glob in `select` that matches nothing.
    """
    prefix = f"{name_prefix}/" if name_prefix else ""
    block = EagerCapture(select, prefix, max_bytes)
    with watching(model, block, aliases=aliases, accept=is_eager):
        yield block
    block.check()
