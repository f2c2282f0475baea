"""torch tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch

from ...errors import CaptureError

if TYPE_CHECKING:
    from ...records import Array

_BITS = {1: torch.uint8, 2: torch.int16}
"""Integers that carry the bits of dtypes numpy itself does not know."""


def owns(kind: type) -> bool:
    return issubclass(kind, torch.Tensor)


def is_batched(value: Any) -> bool:
    return bool(torch._C._functorch.is_batchedtensor(value))


def refill(value: Any) -> Callable[[], object] | None:
    kept = value.detach().clone()

    def fill() -> None:
        if not torch.equal(value.detach(), kept):
            with torch.no_grad():
                value.copy_(kept)

    return fill


def is_concrete(value: Any) -> bool:
    return not (
        value.is_meta
        or _is_fake(value)
        or torch.compiler.is_compiling()
        or torch._C._functorch.is_functorch_wrapped_tensor(value)
    )


def view(value: Any) -> Array:
    _refuse_irregular(value)
    host = value.detach().cpu()
    name = str(host.dtype).removeprefix("torch.")
    if name == "bfloat16" or name.startswith("float8_"):
        bits = host.view(_BITS[host.itemsize]).numpy()
        low: Array = bits.view(np.dtype(getattr(ml_dtypes, name)))
        return low
    return np.asarray(host.numpy())


def from_numpy(array: Array, like: Any) -> Any:
    if array.dtype.name.startswith(("bfloat16", "float8_")):
        return _from_bits(array).to(like.device)
    return torch.from_numpy(array.copy()).to(like.device)


def _is_fake(value: Any) -> bool:
    fake = sys.modules.get("torch._subclasses.fake_tensor")
    return fake is not None and isinstance(value, fake.FakeTensor)


def _from_bits(array: Array) -> Any:
    bits = array.view(np.int16 if array.itemsize == 2 else np.uint8).copy()
    return torch.from_numpy(bits).view(getattr(torch, array.dtype.name))


def _refuse_irregular(value: Any) -> None:
    if value.is_nested:
        raise CaptureError(
            "a nested (ragged) torch tensor cannot be captured",
            "Check `torch.nested.to_padded_tensor(x, 0.0)`.",
        )
    if value.layout is not torch.strided:
        raise CaptureError(
            f"a torch tensor of layout {value.layout} cannot be captured", "Check `x.to_dense()`."
        )
    if value.is_quantized:
        raise CaptureError(
            "a quantised torch tensor cannot be captured",
            "Check `x.int_repr()` or `x.dequantize()`.",
        )


def defer(value: Any, receive: Callable[[Array], None]) -> Callable[[], None] | None:
    """None: torch runs what it traces out of Python's sight (see `compiled`)."""
    return None


def pulled_back(
    function: Callable[[list[Any]], list[Any]],
    tensors: list[Any],
    cotangents: Callable[[list[Any]], list[Any]],
) -> list[Any]:
    with torch.enable_grad():
        given = [tensor.detach().clone().requires_grad_() for tensor in tensors]
        # Of the tensors themselves a layer may not write into any.
        outputs = function([tensor.clone() for tensor in given])
        pairs = [
            (output, cotangent)
            for output, cotangent in zip(outputs, cotangents(outputs), strict=True)
            if output.requires_grad
        ]
        if not pairs:
            return [None] * len(given)
        ends, vectors = zip(*pairs, strict=True)
        return list(torch.autograd.grad(ends, given, vectors, allow_unused=True))


def trace_level() -> Any:
    return None


def is_traced(value: Any) -> bool:
    return False


def compiled_frames() -> int:
    """How many Python functions `torch.compile` has looked at in this process."""
    dynamo = sys.modules.get("torch._dynamo")
    return 0 if dynamo is None else int(dynamo.utils.counters["frames"]["total"])


def _followed(closure: Callable[[], Any], begins: Callable[[], None]) -> Callable[[], Any]:
    """The closure, and `begins` behind its first call."""
    waiting = [begins]

    def followed() -> Any:
        __tracebackhide__ = True
        loss = closure()
        while waiting:
            waiting.pop()()
        return loss

    return followed


@contextmanager
def optimizer_steps(begins: Callable[[Any], None], ended: Callable[[Any], None]) -> Iterator[None]:
    """Inside, every optimizer of torch's own is told before and after it steps; of one that is
    given a closure, once that has made the gradients of the step."""
    from torch.optim import optimizer

    def told(stepping: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            begins(stepping)
            return None
        followed = _followed(closure, lambda: begins(stepping))
        if "closure" in kwargs:
            return args, {**kwargs, "closure": followed}
        return (args[0], followed, *args[2:]), kwargs

    handles = [
        optimizer.register_optimizer_step_pre_hook(told),
        optimizer.register_optimizer_step_post_hook(lambda stepping, *_: ended(stepping)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
