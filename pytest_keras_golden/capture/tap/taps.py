"""What is worth capturing in a watched call: names, kinds and precision, before any numbers move.

Works on tracers as on tensors: a sink decides how a tapped tensor gets to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ...records import Kind, Source
from ..backends import is_tensor
from ..backends.nest import flatten
from ..watch.calls import Call
from ..watch.patches import Run
from .attention import ROLES, Scores, arguments, as_probabilities, scores_of
from .heads import Heads
from .precision import Provenance, arithmetic, coarsest, dtype_name, is_numeric, tensors_of
from .select import Selection

if TYPE_CHECKING:
    from ...records import Array


def unchanged(array: Array) -> Array:
    return array


@dataclass(frozen=True)
class Tap:
    """One tensor to capture: `compute` makes it from the host copies of `tensors`.

    call: name of the outermost call that it is part of.
    """

    name: str
    kind: Kind
    tensors: tuple[Any, ...]
    precision: str
    source: Source = "materialised"
    compute: Callable[..., Array] = unchanged
    call: str = ""


class Sink(Protocol):
    """Where taps go. Called before the watched model can change the tensors."""

    def take(self, tap: Tap) -> None: ...

    def relabel(self, name: str, kind: Kind) -> None:
        """The tensor taken under this name turned out to be of another kind."""

    def keep(self, tensor: Any) -> Any:
        """Something that holds the tensor's present numbers for a later `take`."""


@dataclass
class _Core:
    """The attention core being run: what its inside showed of the probabilities."""

    call: Call
    precision: str
    done: bool = False


@dataclass
class Taps:
    """Observer that taps the selected tensors of every call, in execution order."""

    sink: Sink
    selection: Selection
    seen: int = 0
    _provenance: Provenance = field(default_factory=Provenance)
    _frames: list[str] = field(default_factory=list)
    _cores: list[_Core] = field(default_factory=list)
    _heads: Heads = field(default_factory=Heads)
    _outermost: str = ""

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if call.hidden:
            return self._inside_core(call, run, args, kwargs)
        if call.outermost:
            self.seen += 1
            self._outermost = call.name
            self._heads.clear()
        self._frames.append(self._incoming(args, kwargs))
        cores = len(self._cores)
        try:
            if call.kind == "attention":
                return self._attention(call, run, args, kwargs)
            outputs = run(*args, **kwargs)
            self._layer(call, args, kwargs, outputs)
            return outputs
        finally:
            del self._cores[cores:]
            arrived = self._frames.pop()
            if self._frames:
                self._frames[-1] = coarsest([self._frames[-1], arrived])

    # -- layers and operations --------------------------------------------------------------

    def _layer(self, call: Call, args: Any, kwargs: dict[str, Any], outputs: Any) -> None:
        leaves = [(suffix, leaf) for suffix, leaf in flatten(outputs) if is_numeric(leaf)]
        precision = self._learn(call, args, kwargs, [leaf for _, leaf in leaves])
        kind: Kind = "tensor" if call.leaf else "block"
        tied = self._heads.is_reverse(call, kwargs)
        if tied:
            kind = "logits"
        if not is_cast(call) and not is_mask(call, [leaf for _, leaf in leaves]):
            self._take_all(call, kind, leaves, precision)
        if self.selection.takes("logits"):
            self._logits(call, leaves, precision, tied)

    def _take_all(self, call: Call, kind: Kind, leaves: list[Any], precision: list[str]) -> None:
        for (suffix, leaf), coarse in zip(leaves, precision, strict=True):
            self._take(Tap(call.name + suffix, kind, (leaf,), coarse), call.outermost)

    def _logits(self, call: Call, leaves: list[Any], precision: list[str], tied: bool) -> None:
        self._heads.passed(call, leaves, precision, self.sink.keep, tied)
        if not call.outermost:
            return
        heads = list(self._heads.found(call.target, [leaf for _, leaf in leaves]))
        for name, leaf, coarse in heads:
            self.sink.relabel(name, "logits")
            self._take(Tap(name, "logits", (leaf,), coarse))
        bare = any(head is leaf for _, head, _ in heads for _, leaf in leaves)
        if heads and (len(leaves) > 1 or not bare):
            self._returned(call, leaves, precision)

    def _returned(self, call: Call, leaves: list[Any], precision: list[str]) -> None:
        """What users read where logits are capped, scaled or normalised behind their head, and
        where each of several outputs has its place."""
        for (suffix, leaf), coarse in zip(leaves, precision, strict=True):
            self._give(Tap(call.name + suffix, "block", (leaf,), coarse))

    def _learn(self, call: Call, args: Any, kwargs: Any, outputs: list[Any]) -> list[str]:
        around = self._frames[-1]
        own = arithmetic(call.target, [*tensors_of([args, kwargs]), *outputs])
        self._frames[-1] = coarsest([around, own]) if call.leaf else around
        names = [self._provenance.of(leaf, self._frames[-1]) for leaf in outputs]
        for leaf, name in zip(outputs, names, strict=True):
            self._provenance.learn(leaf, name)
        return names

    def _incoming(self, args: Any, kwargs: Any) -> str:
        around = self._frames[-1] if self._frames else ""
        return coarsest(self._provenance.of(leaf, around) for leaf in tensors_of([args, kwargs]))

    # -- attention --------------------------------------------------------------------------

    def _attention(self, call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        precision = coarsest(
            [self._frames[-1], arithmetic(call.target, tensors_of([args, kwargs]))]
        )
        self._frames[-1] = precision
        core = _Core(call, precision)
        self._cores.append(core)
        named = arguments(call, args, kwargs)
        for role, tensor in roles(call, named):
            self._take_role(core, role, tensor)
        if call.method == "dot_product_attention":
            self._rebuild(core, named)
        outputs = run(*args, **kwargs)
        self._core_outputs(core, outputs)
        return outputs

    def _core_outputs(self, core: _Core, outputs: Any) -> None:
        if core.call.method == "_calculate_scores":
            return
        parts = outputs if isinstance(outputs, (list, tuple)) else (outputs,)
        if len(parts) > 1 and not core.done and is_tensor(parts[1]):
            self._materialised(core, parts[1])
        if is_tensor(parts[0]):
            self._provenance.learn(parts[0], core.precision)
            self._take_role(core, "output", parts[0])

    def _inside_core(self, call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        core = self._cores[-1]
        if call.method == "dot_product_attention" and not core.done:
            self._rebuild(core, arguments(call, args, kwargs))
        outputs = run(*args, **kwargs)
        if is_softmax(call) and not core.done and is_tensor(outputs):
            self._materialised(core, outputs)
        return outputs

    def _rebuild(self, core: _Core, fused: dict[str, Any]) -> None:
        core.done = True
        scores: Scores = scores_of(fused)
        name = role_name(core.call, "probabilities")
        self._take(
            Tap(name, "attention", scores.tensors, core.precision, "reconstructed", scores.rebuild)
        )

    def _materialised(self, core: _Core, tensor: Any) -> None:
        core.done = True
        name = role_name(core.call, "probabilities")
        self._take(Tap(name, "attention", (tensor,), core.precision, compute=as_probabilities))

    def _take_role(self, core: _Core, role: str, tensor: Any) -> None:
        self._take(Tap(role_name(core.call, role), "attention", (tensor,), core.precision))

    def _take(self, tap: Tap, outermost: bool = False) -> None:
        if self.selection.wants(tap.name, tap.kind, outermost):
            self._give(tap)

    def _give(self, tap: Tap) -> None:
        self.sink.take(replace(tap, call=self._outermost))


def role_name(call: Call, role: str) -> str:
    """`layer:query`, with the `@k` of the core where a layer has several in one call."""
    layer = call.parent.name if call.parent else call.path
    _, at, count = call.name.rpartition(":")[2].partition("@")
    return f"{layer}:{role}{at}{count}"


def roles(call: Call, named: dict[str, Any]) -> list[tuple[str, Any]]:
    """Which arguments of a core are query, key and value."""
    if call.method == "_apply_scores":
        return [("value", named["key"])]
    present = ROLES[:2] if call.method == "_calculate_scores" else ROLES
    return [(role, named[role]) for role in present if role in named]


def is_softmax(call: Call) -> bool:
    return call.kind == "layer" and "softmax" in type(call.target).__name__.lower()


def is_mask(call: Call, outputs: list[Any]) -> bool:
    """Functional graphs of old releases compute the masks of layers as operations of their own."""
    return call.kind == "operation" and {dtype_name(x.dtype) for x in outputs} == {"bool"}


def is_cast(call: Call) -> bool:
    """Functional graphs had `cast` operations through 3.9.2, where layers cast now."""
    return call.kind == "operation" and type(call.target).__name__ == "Cast"
