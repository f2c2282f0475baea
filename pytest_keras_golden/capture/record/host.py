"""Eager capture: selected tensors come to the host while the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...records import Kind, TensorRecord
from ..backends import is_concrete, to_numpy
from ..tap.limit import NO_LIMIT, Limit
from ..tap.select import Selection
from ..tap.taps import Tap, Taps, unchanged
from ..watch.calls import Call
from ..watch.patches import Run

if TYPE_CHECKING:
    from ...records import Array


@dataclass
class HostSink:
    """Copies each tapped tensor to the host at once. `records` keeps execution order.

    limit: what is kept of a tensor; a larger one raises CaptureError.
    """

    limit: Limit = NO_LIMIT
    records: dict[str, TensorRecord] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)

    def take(self, tap: Tap) -> None:
        name = tap.name
        # Under vmap over the weights, concrete inputs make outputs that hold no numbers.
        if name in self.records or not all(map(is_concrete, tap.tensors)):
            return
        value = self._value(name, tap)
        self.records[name] = TensorRecord(
            name, value, kind=tap.kind, precision=tap.precision, source=tap.source
        )
        self.tensors[name] = value

    def _value(self, name: str, tap: Tap) -> Array:
        if tap.compute is not unchanged:
            for tensor in tap.tensors:
                self.limit.require(name, [tensor])
            return self.limit.kept(name, tap.compute(*map(to_numpy, tap.tensors)))
        # What is left out stays on the device.
        parts = self.limit.parts(tap.tensors[0])
        self.limit.require(name, parts)
        arrays = [to_numpy(part) for part in parts]
        return np.concatenate(arrays, axis=-2) if len(arrays) > 1 else arrays[0]

    def relabel(self, name: str, kind: Kind) -> None:
        record = self.records.get(name)
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


class LayerCapture:
    """Observer that records the selected tensors of eager calls, in execution order."""

    def __init__(self, select: Sequence[str], *, limit: Limit = NO_LIMIT) -> None:
        self.sink = HostSink(limit)
        self.selection = Selection(select)
        self.taps = Taps(self.sink, self.selection)

    @property
    def records(self) -> list[TensorRecord]:
        return list(self.sink.records.values())

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        return self.taps.around(call, run, args, kwargs)
