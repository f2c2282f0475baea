"""What isolation needs: inputs and outputs of every layer, operation and attention core."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ...errors import CaptureError
from ...records import LayerCall
from ...store.digest import digest
from ..backends import to_numpy, write_count
from ..state.given import carried_by, given_to
from ..tap.attention import signature
from ..tap.precision import arithmetic, tensors_of
from ..tap.taps import is_cast, is_mask
from ..watch.calls import Call
from ..watch.patches import Run

if TYPE_CHECKING:
    from ...records import Array

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class CallRecorder:
    """Observer that keeps every measured call's inputs and outputs, each distinct tensor once.

    limit: bytes of the pool beyond which it is emptied. unavailable: why it is empty (`size`, or
    a tensor that cannot be held); names are still collected, and nothing more is copied.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.calls: list[LayerCall] = []
        self.pool: dict[str, Array] = {}
        self.unavailable = ""
        self._limit = limit
        self._size = 0
        self._known: dict[int, tuple[weakref.ref[Any], int, str]] = {}

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not is_measured(call):
            return run(*args, **kwargs)
        args, kwargs = in_order(call, args, kwargs)
        incoming = argument_tensors(args, kwargs)
        # Before the call: code on torch and numpy may write into what it was given.
        inputs = tuple(map(self._key, incoming))
        given = given_to(call, args, kwargs)
        outputs = run(*args, **kwargs)
        outgoing = output_tensors(call, outputs)
        if is_mask(call, outgoing):
            return outputs
        keys = tuple(map(self._key, outgoing))
        precision = arithmetic(call.target, [*incoming, *outgoing])
        self.calls.append(
            LayerCall(
                call.name,
                title(call),
                inputs,
                keys,
                precision,
                given=given,
                masks=carried_by(outgoing),
            )
        )
        return outputs

    def _key(self, tensor: Any) -> str:
        if self.unavailable:
            return ""
        key = self._remembered(tensor)
        if key is None:
            try:
                array = to_numpy(tensor)
            except CaptureError as error:
                self._give_up(error.problem)
                return ""
            key = digest(array)
            self._remember(tensor, key)
            self._add(key, array)
        return key

    def _add(self, key: str, array: Array) -> None:
        if key in self.pool:
            return
        self.pool[key] = array
        self._size += array.nbytes
        if self._limit is not None and self._size > self._limit:
            self._give_up("size")

    def _give_up(self, reason: str) -> None:
        self.unavailable = reason
        self.pool.clear()
        self._known.clear()

    def _remembered(self, tensor: Any) -> str | None:
        reference, version, key = self._known.get(id(tensor), (None, 0, ""))
        if reference is None or reference() is not tensor or version != write_count(tensor):
            return None
        return key

    def _remember(self, tensor: Any, key: str) -> None:
        version = write_count(tensor)
        if version is not None:
            self._known[id(tensor)] = weakref.ref(tensor), version, key


def is_measured(call: Call) -> bool:
    """Whether isolation has a line for this call: not what an attention core or a leaf does inside,
    nor a cast of graphs through 3.9.2, which layers do since.
    """
    if call.hidden or is_cast(call):
        return False
    if call.kind != "attention":
        return True
    fused = call.method in ("_compute_attention", "dot_product_attention")
    return fused and call.parent is not None and not call.parent.leaf


def in_order(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Arguments of an attention core in the order of its signature, however they were passed."""
    if call.kind != "attention":
        return args, kwargs
    bound = signature(call).bind(*args, **kwargs)
    return bound.args, bound.kwargs


def output_tensors(call: Call, outputs: Any) -> list[Any]:
    """Outputs to measure. Of an attention core only its output: whether scores come with it is a
    matter of the release (through 3.6 always, from 3.7 a placeholder where nobody asked).
    """
    tensors = tensors_of(outputs)
    return tensors[:1] if call.kind == "attention" else tensors


def argument_tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    return tensors_of([args, dict(sorted(kwargs.items()))])


def title(call: Call) -> str:
    """Class of the layer, for people; `:core` for its attention."""
    name = type(call.target).__name__
    return f"{name}:core" if call.kind == "attention" else name
