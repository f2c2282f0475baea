"""A Functional model as nodes, and models of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..watch.structure import walk


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a layer or an operation in a graph, by symbolic tensors. name: structural."""

    name: str
    operation: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


def functional(model: Any) -> Any | None:
    """The model's graph; None of a model that is code, of which no part can be had."""
    graph = getattr(model, "_functional", None) or model
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph: Any) -> list[Node]:
    """All calls but those of inputs, each behind what it reads."""
    names = {id(layer): path for path, layer in walk(graph)}
    counts: dict[str, int] = {}
    return [
        Node(
            _counted(names.get(id(node.operation)) or node.operation.name, counts),
            node.operation,
            tuple(node.arguments.keras_tensors),
            tuple(node.outputs),
        )
        for node in _ordered(graph)
    ]


def _ordered(graph: Any) -> Iterator[Any]:
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from (node for node in graph._nodes_by_depth[depth] if not node.is_input)


def _counted(name: str, counts: dict[str, int]) -> str:
    """As captured calls are named: `dense`, `dense@1`."""
    count = counts[name] = counts.get(name, -1) + 1
    return name if not count else f"{name}@{count}"


def parents_of(nodes: Sequence[Node]) -> dict[int, list[int]]:
    """Number of a node → numbers of those whose outputs it reads."""
    makers = {id(tensor): at for at, node in enumerate(nodes) for tensor in node.outputs}
    return {
        at: sorted({makers[id(t)] for t in node.inputs if id(t) in makers})
        for at, node in enumerate(nodes)
    }


def part(
    nodes: Sequence[Node], parents: Mapping[int, Sequence[int]], at: int, given: frozenset[int]
) -> tuple[Any, list[Any]]:
    """A model from the graph's inputs, and from the outputs of `given`, to a node's outputs; and
    the symbolic tensors that it begins with."""
    import keras

    begins: dict[int, Any] = {}
    seen, waiting = {at}, [at]
    inner = {id(t) for n, node in enumerate(nodes) if n not in given for t in node.outputs}
    while waiting:
        node = waiting.pop()
        begins |= {id(t): t for t in nodes[node].inputs if id(t) not in inner}
        fresh = [p for p in parents[node] if p not in given and p not in seen]
        seen.update(fresh)
        waiting += fresh
    tensors = list(begins.values())
    outputs = list(nodes[at].outputs)
    return keras.Model(_bare(tensors), _bare(outputs)), tensors


def whole(graph: Any, nodes: Sequence[Node]) -> tuple[Any, list[Any]]:
    """A model that returns every tensor of the graph; and these, inputs first."""
    import keras

    inner = [tensor for node in nodes for tensor in node.outputs]
    return keras.Model(list(graph.inputs), inner), [*graph.inputs, *inner]


def _bare(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors
