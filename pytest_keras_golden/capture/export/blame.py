"""The layers whose export computes otherwise than Keras does, on inputs that agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...compare.floats import in_the_coarser
from ...compare.isolation import judge_local
from ...errors import CaptureError
from ...outcomes import LocalOutcome, is_blamed
from ...tolerance import EPSILON, default
from ..backends import to_numpy
from ..reference import HIGHER
from ..replay.lifted import FLOAT32_FOR, FLOAT64_FOR, lifted
from ..tap.precision import coarsest
from ..watch.structure import walk
from .artefact import Exporter, RuntimeOutputs
from .graph import Node, functional, nodes_of, parents_of, part, whole
from .guilty import Search
from .runtimes import Feed

if TYPE_CHECKING:
    from ...records import Array

ALONE = "exported alone and run on the inputs that Keras computes"


@dataclass(frozen=True, slots=True)
class Blame:
    """locals: of the layers that were measured alone. isolation: as of an examined call."""

    locals: tuple[LocalOutcome, ...] = ()
    isolation: str = "complete"


def precision_of(model: Any) -> str:
    """The coarsest that any of its layers computes in."""
    own = (str(getattr(layer, "compute_dtype", None) or "") for _, layer in walk(model))
    return coarsest(name for name in own if name in EPSILON) or "float32"


def agreement(
    name: str, order: int, answer: RuntimeOutputs, wanted: Sequence[Array], precision: str
) -> LocalOutcome:
    """What a runtime returned against what Keras computes, by the tolerance between two
    implementations of one layer."""
    precision = coarsest((precision, answer.precision))
    if len(answer.outputs) != len(wanted):
        return judge_local(name, order, list(answer.outputs), list(wanted), precision)
    pairs = [alike(a, g) for a, g in zip(answer.outputs, wanted, strict=True)]
    actual, golden = [a for a, _ in pairs], [g for _, g in pairs]
    local = judge_local(name, order, actual, golden, precision, systematic="off")
    limit = default(local.precision, between_backends=True).k
    small = limit is not None and local.k is not None and local.k <= limit
    return replace(local, verdict="within") if small and local.verdict == "drift" else local


def alike(actual: Array, golden: Array) -> tuple[Array, Array]:
    """Both in one dtype: runtimes have no float64, and indices of their own width."""
    if actual.dtype == golden.dtype:
        return actual, golden
    if actual.dtype.name in EPSILON and golden.dtype.name in EPSILON:
        return in_the_coarser(actual, golden)
    both_whole = actual.dtype.kind in "iub" and golden.dtype.kind in "iub"
    return (actual.astype(golden.dtype), golden) if both_whole else (actual, golden)


def numbers(returned: Any) -> list[Array]:
    """What a model returned, in the order of artefacts: that of Keras."""
    import keras

    return [to_numpy(leaf) for leaf in keras.tree.flatten(returned)]


def exact(run: Callable[[], Any], model: Any, precision: str) -> list[Array] | None:
    """What the model returns in a higher precision, which says how far rounding alone may lead;
    None where it cannot be run in one."""
    low = FLOAT32_FOR if precision in FLOAT32_FOR else FLOAT64_FOR
    try:
        with lifted([model], low, HIGHER[low[0]]):
            return numbers(run())
    except Exception:  # a layer may insist on its own dtype, in any way it likes
        return None


def blame(model: Any, feed: Feed, exporter: Exporter, precision: str) -> Blame:
    """Of a model whose export drifts: the layers that alone drift as well."""
    graph = functional(model)
    if graph is None:
        return Blame(isolation="unavailable: the model is code, of which no part can be exported")
    found = _Blaming(exporter, precision)
    found.descend(graph, feed.arrays, "")
    failed = found.failed
    if failed:
        return Blame(tuple(found.locals), f"unavailable: {failed[0]}")
    return Blame(tuple(found.locals))


@dataclass
class _Blaming:
    exporter: Exporter
    precision: str
    locals: list[LocalOutcome] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def descend(self, graph: Any, arrays: Sequence[Array], above: str) -> None:
        """Search a graph; of a guilty model within it, that one's own graph."""
        parts = _Parts(graph, arrays, above, self)
        search = Search(parts.parents, parts.measure)
        made = {id(tensor): at for at, node in enumerate(parts.nodes) for tensor in node.outputs}
        found = search.run([made[id(t)] for t in graph.outputs if id(t) in made])
        for at in (*found.guilty, *found.steps):
            self._tell(parts, at, at in found.guilty)
        if not found.complete:
            why = parts.why or "too many parts of the model had to be exported"
            self.failed.append(why + parts.said_of(found.unmeasured))
        elif found.steps or not found.guilty:
            # What was not measured, or was without its mask, may be what differs.
            left = parts.said_of(found.unmeasured) + parts.said_of_masks()
            if left and search.differed:
                self.failed.append((parts.why or "no layer alone differs") + left)

    def _tell(self, parts: _Parts, at: int, guilty: bool) -> None:
        node = parts.nodes[at]
        inner = functional(node.operation) if guilty else None
        if inner is None:
            self.locals.append(parts.alone(at))
            return
        before = len(self.locals)
        self.descend(inner, [parts.values[id(t)] for t in node.inputs], parts.named(node) + "/")
        if not any(map(is_blamed, self.locals[before:])):
            self.locals.append(parts.alone(at))


class _Parts:
    """A graph, what Keras computes everywhere in it, and what exports of its parts do."""

    def __init__(self, graph: Any, arrays: Sequence[Array], above: str, by: _Blaming) -> None:
        self.nodes: list[Node] = nodes_of(graph)
        self.parents = parents_of(self.nodes)
        self.values = _values(graph, self.nodes, arrays)
        self.why: str | None = None
        self._above, self._by = above, by
        self._makers = {id(tensor): node for node in self.nodes for tensor in node.outputs}
        self._outcomes: dict[tuple[int, frozenset[int]], LocalOutcome] = {}
        self._masks: dict[str, None] = {}

    def said_of(self, unmeasured: Sequence[int]) -> str:
        """Which parts are left out of the search; nothing where none is."""
        names = [self.named(self.nodes[at]) for at in unmeasured]
        count = f"{len(names)} of {len(self.nodes)} layers"
        return f"; {count} could not be measured: {_listed(names)}" if names else ""

    def said_of_masks(self) -> str:
        """Whose masks were lost where the graph was cut."""
        return (
            f"; cut off from their masks: what reads {_listed(self._masks)}" if self._masks else ""
        )

    def named(self, node: Node) -> str:
        return self._above + node.name

    def measure(self, at: int, given: frozenset[int]) -> bool | None:
        try:
            outcome = self._outcomes[at, given] = self._outcome(at, given)
        except CaptureError as error:
            self.why = self.why or f"{self.named(self.nodes[at])} alone: {error.problem}"
            return None
        return is_blamed(outcome)

    def _outcome(self, at: int, given: frozenset[int]) -> LocalOutcome:
        model, begins = part(self.nodes, self.parents, at, given)
        self._masks |= dict.fromkeys(self._masked(begins))
        arrays = [self.values[id(tensor)] for tensor in begins]
        names = [tensor.name for tensor in model.inputs]
        feed = Feed(arrays, names, arrays[0] if len(arrays) == 1 else arrays)
        wanted = numbers(model(feed.nest))
        answer = self._by.exporter.answer(model, feed)
        name = self.named(self.nodes[at])
        return agreement(name, at, answer, wanted, self._by.precision)

    def alone(self, at: int) -> LocalOutcome:
        """The outcome of a node by itself."""
        own = {given: o for (node, given), o in self._outcomes.items() if node == at}
        outcome = own[max(own, key=len)]
        lost = _listed(self._masked(self.nodes[at].inputs))
        masks = f"without the mask of {lost}" if lost else None
        return replace(outcome, note="; ".join(filter(None, (ALONE, masks, outcome.note))))

    def _masked(self, tensors: Sequence[Any]) -> list[str]:
        """The layers that made these, of those with a mask: no exported part takes one."""
        masked = [t for t in tensors if getattr(t, "_keras_mask", None) is not None]
        return [self.named(self._makers[id(t)]) for t in masked if id(t) in self._makers]


def _listed(names: Iterable[str], most: int = 3) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _values(graph: Any, nodes: Sequence[Node], arrays: Sequence[Array]) -> Mapping[int, Array]:
    """Symbolic tensor → what Keras computes for it."""
    model, tensors = whole(graph, nodes)
    returned = [*arrays, *numbers(model(list(arrays)))]
    return {id(tensor): value for tensor, value in zip(tensors, returned, strict=True)}
