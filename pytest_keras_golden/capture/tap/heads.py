"""Which output is logits: the language-model head or classifier, found without configuration."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..watch.calls import CORES, Call
from ..watch.families import is_of

_TRANSPARENT = ("Activation", "Dropout", "Flatten", "Identity", "Permute", "Reshape", "Softmax")
"""Layers that may follow a head without making it a hidden layer."""


@dataclass
class Heads:
    """Projections seen since the outermost call began; those that made its outputs are heads."""

    _outputs: dict[int, tuple[weakref.ref[Any], str, str]] = field(default_factory=dict)
    _last: tuple[str, Any, str] | None = None

    def clear(self) -> None:
        self._outputs.clear()
        self._last = None

    @staticmethod
    def is_reverse(call: Call, kwargs: dict[str, Any]) -> bool:
        """A tied embedding run backwards, as keras-hub's language models end."""
        return call.kind == "layer" and kwargs.get("reverse") is True

    def passed(
        self,
        call: Call,
        leaves: list[tuple[str, Any]],
        precisions: list[str],
        keep: Callable[[Any], Any],
        tied: bool = False,
    ) -> None:
        """Look at a finished call's outputs, (suffix, tensor) each. tied: see `is_reverse`."""
        if not call.leaf or type(call.target).__name__ in _TRANSPARENT or call.kind != "layer":
            return
        self._last = None
        if not (tied or is_projection(call)) or len(leaves) != 1:
            return
        (_, leaf), precision = leaves[0], precisions[0]
        self._outputs[id(leaf)] = weakref.ref(leaf), call.name, precision
        if call.depth == 1:
            self._last = call.name, keep(leaf), precision

    def found(self, target: Any, outputs: list[Any]) -> Iterator[tuple[str, Any, str]]:
        """(name, tensor, precision) of the heads behind the outputs of the outermost call."""
        direct = [self._maker(output) for output in outputs]
        heads = [head for head in direct if head is not None]
        if not heads and self._last is not None and _like(self._last[1], outputs):
            heads = [self._last]
        if is_backbone(target):
            heads = []
        self.clear()
        yield from heads

    def _maker(self, output: Any) -> tuple[str, Any, str] | None:
        reference, name, precision = self._outputs.get(id(output), (None, "", ""))
        if reference is None or reference() is not output:
            return None
        return name, output, precision


def is_backbone(target: Any) -> bool:
    """A keras-hub backbone, whose pooled output is a projection and no logits."""
    return any(base.__name__ == "Backbone" for base in type(target).__mro__)


def is_projection(call: Call) -> bool:
    """A dense layer by class or by what it holds, outside of attention."""
    if _in_attention(call):
        return False
    target = call.target
    if is_of(target, "Dense", "EinsumDense"):
        return True
    kernel = getattr(target, "kernel", None)
    return kernel is not None and len(kernel.shape) == 2


def _in_attention(call: Call) -> bool:
    above = call.parent
    if above is None:
        return False
    target = above.target
    attends = any(hasattr(type(target), method) for method in CORES)
    return attends or is_of(target, "Attention") or _in_attention(above)


def _like(kept: Any, outputs: list[Any]) -> bool:
    """Soft-capped or normalised logits keep the size of the vocabulary."""
    return any(output.shape and output.shape[-1] == kept.shape[-1] for output in outputs)
