"""Eager capture: selected tensors come to the host while the model runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError
from ..records import Kind, TensorRecord
from .backends import is_concrete, to_numpy
from .gates import Run
from .precision import dtype_name, tensors_of
from .select import Selection
from .taps import Tap, Taps
from .watch import Call

if TYPE_CHECKING:
    from ..records import Array


@dataclass
class HostSink:
    """Copies each tapped tensor to the host at once. `records` keeps execution order.

    max_bytes: largest single tensor taken; a larger one raises CaptureError.
    """

    prefix: str = ""
    max_bytes: int | None = None
    records: dict[str, TensorRecord] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)

    def take(self, tap: Tap) -> None:
        name = self.prefix + tap.name
        # Under vmap over the weights, concrete inputs make outputs that hold no numbers.
        if name in self.records or not all(map(is_concrete, tap.tensors)):
            return
        for tensor in tap.tensors:
            self._refuse_large(name, tensor)
        value = tap.compute(*map(to_numpy, tap.tensors))
        self.records[name] = TensorRecord(
            name, value, kind=tap.kind, precision=tap.precision, source=tap.source
        )
        self.tensors[name] = value

    def relabel(self, name: str, kind: Kind) -> None:
        record = self.records.get(self.prefix + name)
        if record is not None:
            self.records[record.name] = replace(record, kind=kind)

    def drop(self, count: int) -> None:
        """Keep the first `count` records only."""
        for name in list(self.records)[count:]:
            del self.records[name], self.tensors[name]

    def keep(self, tensor: Any) -> Any:
        # Torch and numpy code may write into the tensor before the model returns.
        mutable = type(tensor).__module__.partition(".")[0] in ("torch", "numpy", "keras")
        return to_numpy(tensor) if mutable else tensor

    def _refuse_large(self, name: str, tensor: Any) -> None:
        size = nbytes(tensor)
        if self.max_bytes is not None and size > self.max_bytes:
            raise CaptureError(
                f"{name} has {size} bytes (shape {tuple(tensor.shape)}), "
                f"more than golden_max_bytes = {self.max_bytes}",
                "Check its first or last rows only, `check(name, tensor[:, -8:])`, leave it out "
                "of `select`, or raise golden_max_bytes.",
            )


def nbytes(tensor: Any) -> int:
    name = dtype_name(tensor.dtype)
    size = 1 if name == "bool" or name.startswith("float8") else _bits(name) // 8
    return math.prod(int(length) for length in tensor.shape) * size


def _bits(dtype: str) -> int:
    return int("".join(filter(str.isdigit, dtype)) or 64)


class LayerCapture:
    """Observer that records the selected tensors of eager calls, in execution order."""

    def __init__(
        self, select: Sequence[str], *, prefix: str = "", max_bytes: int | None = None
    ) -> None:
        self.sink = HostSink(prefix, max_bytes)
        self.selection = Selection(select)
        self.taps = Taps(self.sink, self.selection)

    @property
    def records(self) -> list[TensorRecord]:
        return list(self.sink.records.values())

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        return self.taps.around(call, run, args, kwargs)


def is_eager(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether every tensor among the arguments holds numbers now."""
    return all(is_concrete(tensor) for tensor in tensors_of([args, kwargs]))
