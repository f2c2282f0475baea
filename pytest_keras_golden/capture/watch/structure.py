"""Structural names of layers: the same for the same model code, whatever was built before.

Breadth-first from a root over attributes (sorted, leading underscores stripped), list indices and
dict keys; the shortest path wins. Children of Functional and Sequential models go by the name a
user gave them, else by `snake_class#k`.
"""

from __future__ import annotations

import itertools
import re
import weakref
from collections import deque
from collections.abc import Container, Iterator, Sequence
from functools import lru_cache
from typing import Any

from ...aliases import Alias, canonical
from .families import PRIVATE, TRACKING, classes, is_old, old_graph

ROOT = "<model>"
"""Name of the root's own call; no attribute and hardly a layer can be called that."""

ALIASES: tuple[Alias, ...] = ()
"""Renames inside Keras."""

_PRIVATE = frozenset(
    {
        "_functional",
        "_inbound_nodes",
        "_layers",
        "_metrics",
        "_nodes",
        "_operations",
        "_operations_by_depth",
        "_outbound_nodes",
        "_tracker",
        *TRACKING,
    }
)
"""Attributes of Keras itself that list layers again, and differ between releases."""

_PRIVATE_OF_OLD = _PRIVATE | PRIVATE


class Structure:
    """Paths of everything below the roots seen so far. Holds layers weakly."""

    def __init__(self, aliases: Sequence[tuple[str, str]] = ()) -> None:
        self._aliases = (*aliases, *ALIASES)
        self._paths: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._roots: list[tuple[weakref.ref[Any], str]] = []
        self._adopted: dict[str, weakref.ref[Any]] = {}
        self.renamed: dict[str, str] = {}

    def add_root(self, root: Any, path: str = "") -> None:
        self._roots.append((weakref.ref(root), path))
        self.walk()

    @property
    def roots(self) -> Iterator[tuple[str, Any]]:
        """(path, root) of those that are still there."""
        for reference, path in self._roots:
            root = reference()
            if root is not None:
                yield path, root

    def walk(self) -> None:
        """Look again at every root: a layer may have been made since."""
        for path, root in self.roots:
            for found, layer in walk(root, path):
                self.add(layer, found)

    def adopt(self, layer: Any, path: str) -> None:
        """Take in a layer that no attribute leads to, met while another one ran: one of a closure,
        of a set, of an object of the test's own."""
        for found, below in walk(layer, path):
            self.add(below, found)
        self._adopted[path] = weakref.ref(layer)

    def adopted(self, above: str) -> Iterator[tuple[str, Any]]:
        """(path, layer) of those below a path that are still there."""
        for path, reference in self._adopted.items():
            layer = reference()
            if layer is not None and (not above or path.startswith(f"{above}/")):
                yield path, layer

    def add(self, layer: Any, path: str) -> None:
        """Give `layer` this path unless it has one."""
        if self.path(layer) is None:
            self._paths[id(layer)] = (weakref.ref(layer), self._canonical(path))

    def path(self, layer: Any) -> str | None:
        reference, path = self._paths.get(id(layer), (None, ""))
        # A dead layer's id is soon somebody else's.
        return path if reference is not None and reference() is layer else None

    def _canonical(self, path: str) -> str:
        name = canonical(path, self._aliases)
        if name != path:
            self.renamed[path] = name
        return name


def walk(root: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, layer or operation) of the root and everything below it, shortest path first; each has
    a path of its own."""
    seen, taken = {id(root)}, {path}
    queue = deque([(path, root)])
    yield path, root
    while queue:
        level = [
            (joined(above, name), child) for above, at in queue for name, child in children(at)
        ]
        queue.clear()
        for reached, child in level:
            if id(child) not in seen:
                seen.add(id(child))
                found = _free(reached, taken) if is_node(child) else reached
                queue.append((found, child))
                if is_node(child):
                    taken.add(found)
                    yield found, child


def _free(path: str, taken: Container[str]) -> str:
    """`path`, or `path#k` where another has it: keys of dicts may say what two steps say (`a/b`),
    or the same as another one (1 and "1")."""
    others = (f"{path}#{count}" for count in itertools.count(1))
    return next(name for name in itertools.chain([path], others) if name not in taken)


def children(node: Any) -> Iterator[tuple[str, Any]]:
    """Named children of a layer or container: layers, operations and containers alike."""
    if isinstance(node, dict):
        yield from ((_key(key), child) for key, child in node.items() if _worth(child))
    elif isinstance(node, (list, tuple)):
        yield from ((str(index), child) for index, child in enumerate(node) if _worth(child))
    elif is_node(node):
        yield from _of_layer(node)


def _key(key: Any) -> str:
    """By its class where its text is another one in every process; who shares it is counted."""
    text = str(key)
    return snake_case(type(key).__name__) if _ADDRESS.search(text) else text


_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")


def _of_layer(layer: Any) -> Iterator[tuple[str, Any]]:
    graph = _graph(layer)
    given = {id(child): name for name, child in graph if "#" not in name}
    yield from ((name, child) for name, child in graph if id(child) in given)
    yield from _attributes(layer)
    yield from ((name, child) for name, child in graph if id(child) not in given)


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    # On torch, sub-layers are submodules and not in __dict__.
    attributes = {**vars(layer), **vars(layer).get("_modules", {})}
    attributes.pop("_modules", None)
    hidden = _PRIVATE_OF_OLD if is_old(layer) else _PRIVATE
    worth = [name for name, child in attributes.items() if _worth(child) and name not in hidden]
    taken: set[str] = set()
    for attribute in sorted(worth, key=lambda name: (name.lstrip("_"), len(name))):
        child = attributes[attribute]
        name = attribute.lstrip("_") or attribute
        yield (attribute if name in taken else name), child
        taken.add(name)


def _graph(layer: Any) -> list[tuple[str, Any]]:
    """What a Functional or Sequential model runs, in its order, by given or counted name."""
    counts: dict[str, int] = {}
    named = []
    for child in graph_operations(layer):
        snake = snake_case(type(child).__name__)
        name = str(child.name)
        if re.fullmatch(rf"{re.escape(snake)}(_\d+)?", name):
            name = f"{snake}#{counts.setdefault(snake, 0)}"
            counts[snake] += 1
        named.append((name, child))
    return named


def graph_operations(layer: Any) -> list[Any]:
    import keras

    old = old_graph(layer)
    if old is not None:
        return old
    if isinstance(layer, keras.Sequential):
        run = list(layer.layers)
    elif _is_functional(layer):
        run = list(layer.operations)
    else:
        return []
    return [child for child in run if not isinstance(child, keras.layers.InputLayer)]


def _is_functional(layer: Any) -> bool:
    # A subclassed model that is no graph raises on `operations` or lacks it.
    return hasattr(type(layer), "operations") and "_operations" in vars(layer)


def is_node(value: Any) -> bool:
    kind: Any = type(value)  # no `type`: mypy takes classes for unhashable
    return _is_node_class(kind)


def _worth(value: Any) -> bool:
    kind: Any = type(value)
    return _is_worth_class(kind)


# By class and remembered: every attribute of every layer is asked about.
@lru_cache(maxsize=4096)
def _is_node_class(kind: type) -> bool:
    import keras

    return issubclass(kind, (*classes("Layer"), keras.Operation))


@lru_cache(maxsize=4096)
def _is_worth_class(kind: Any) -> bool:
    return issubclass(kind, (dict, list, tuple)) or _is_node_class(kind)


def joined(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name


def snake_case(name: str) -> str:
    """As Keras makes automatic names from class names."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


_OWN = frozenset({"keras", "keras_hub", "keras_nlp"})


def is_own(node: Any) -> bool:
    """Whether its class is Keras' and nobody has put another `call` into it."""
    kind = type(node)
    foreign = kind.__name__ == "Lambda" or "call" in vars(node)
    return kind.__module__.partition(".")[0] in _OWN and not foreign
