"""Every call of a model's layers, operations and attention cores, seen without being changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, Protocol

from ...errors import GoldenError
from ..backends.nest import leaves
from . import patches
from .families import classes, is_of, symbolic_classes
from .patches import Run
from .structure import ROOT, Structure, joined, snake_case

CallKind = Literal["layer", "operation", "attention"]

CORES = ("_compute_attention", "_apply_scores")
"""Methods from projected query, key, value (or scores, value) to the attention output."""

_ATTENTION = {
    **dict.fromkeys(CORES, "core"),
    "_calculate_scores": "scores",
    "dot_product_attention": "core",
}
"""Watched method of attention → what its call's name ends in."""

_METHODS = ("__call__", "call", *CORES, "_calculate_scores")


@dataclass(eq=False)
class Call:
    """One watched call.

    name: structural name, `@k` from the second call of the same layer on; an attention core is
    `<layer call>:core`. path: structural path of the layer, without `@k`. method: the attribute
    that was called. depth: number of watched calls around it. parent: the innermost of these.
    order: position in the order in which calls began.
    """

    name: str
    path: str
    target: Any
    kind: CallKind
    method: str
    depth: int
    order: int
    parent: Call | None = None
    inside: dict[str, int] = field(default_factory=dict)

    @property
    def outermost(self) -> bool:
        return self.parent is None

    @property
    def leaf(self) -> bool:
        """No layers inside that could be watched: isolation's unit, as attention cores are."""
        return self.kind != "layer" or is_opaque(self.target) or not has_sublayers(self.target)

    @property
    def hidden(self) -> bool:
        """Part of an attention core, whose inside differs between releases."""
        above = self.parent
        return above is not None and (above.kind == "attention" or above.hidden)


class Observer(Protocol):
    """Stands around each call. Must call `run` once; may change what goes in and comes out."""

    def around(
        self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...


def is_opaque(target: Any) -> bool:
    """Layers that call others inside scans and maps, seen or unseen by backend."""
    return is_of(target, "RNN", "TimeDistributed")


def has_sublayers(target: Any) -> bool:
    flattened = target._flatten_layers(include_self=False, recursive=False)
    return next(iter(flattened), None) is not None


def is_symbolic(nest: Any) -> bool:
    """Whether a KerasTensor is anywhere in the nest: a model is being built, not run."""
    kinds = symbolic_classes()
    return any(isinstance(leaf, kinds) for leaf in leaves(nest))


CallSite = tuple[Any, str]
"""A class or module, and the name of what is called of it."""

Accept = Callable[[tuple[Any, ...], dict[str, Any]], bool]


class Watch:
    """The state of one `watching` block: who is being called inside whom. met: told of a layer that
    no attribute leads to, before it runs for the first time."""

    def __init__(
        self,
        root: Any | None,
        observer: Observer,
        aliases: Sequence[tuple[str, str]] = (),
        accept: Accept | None = None,
        structure: Structure | None = None,
    ) -> None:
        self.thread = threading.get_ident()
        self.structure = structure or Structure(aliases)
        self.met: Callable[[Any], None] = lambda layer: None
        self._observer = observer
        self._accept = accept
        self._any_root = root is None
        self._stack: list[Call] = []
        self._blind = 0
        self._roots: dict[str, int] = {}
        self.restart()
        self._started = self._counters()
        if root is not None:
            self.structure.add_root(root)

    def restart(self) -> None:
        """Count calls from the beginning again: before a function is traced anew, say."""
        self._counts: dict[str, int] = {}
        self._order = 0

    def _counters(self) -> tuple[dict[str, int], dict[str, int], int]:
        return dict(self._counts), dict(self._roots), self._order

    def again(self, observer: Observer, accept: Accept | None = None) -> Watch:
        """A watch for making the outermost call that is being watched, or was last, once more: it
        gives every call the name that it had."""
        fresh = Watch(None, observer, accept=accept, structure=self.structure)
        fresh._any_root = self._any_root
        counts, roots, fresh._order = self._started
        fresh._counts, fresh._roots = dict(counts), dict(roots)
        return fresh

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See nothing of what runs inside."""
        self._blind += 1
        try:
            yield
        finally:
            self._blind -= 1

    @property
    def is_inside(self) -> bool:
        """Whether a call is under way that it sees, or that it looks away from."""
        return bool(self._stack) or self._blind > 0

    def close(self) -> None:
        """See nothing more."""
        self._blind += 1

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if self._blind:
            return run(*args, **kwargs)
        if method == "compute_output_spec":
            return self._unseen(run, args, kwargs)
        if method in _ATTENTION:
            return self._attention(method, run, args, kwargs)
        return self._node(method, run, args, kwargs)

    def _node(self, method: str, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        target = args[0]
        top = self._stack[-1] if self._stack else None
        if top is not None and is_same(top.target, target):
            return run(*args, **kwargs)
        if is_symbolic(args[1:]) or is_symbolic(kwargs):
            return self._unseen(run, args, kwargs)
        path = self._path(target, top)
        if path is None:
            return run(*args, **kwargs)
        if self._accept is not None and not self._accept(args[1:], kwargs):
            return self._unseen(run, args, kwargs)
        kind: CallKind = "layer" if is_layer(target) else "operation"
        if top is None:
            self._started = self._counters()
        name = counted(path or ROOT, self._counts)
        return self._around(self._call(name, path, target, kind, method), run, args, kwargs)

    def _attention(
        self, method: str, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        __tracebackhide__ = True
        top = self._stack[-1] if self._stack else None
        if top is None or is_symbolic(args) or (top.method == method and top.kind == "attention"):
            return run(*args, **kwargs)
        if method != "dot_product_attention" and args[0] is not top.target:
            return run(*args, **kwargs)
        name = counted(f"{top.name}:{_ATTENTION[method]}", top.inside)
        call = self._call(name, top.path, top.target, "attention", method)
        return self._around(call, run, args, kwargs)

    def _call(self, name: str, path: str, target: Any, kind: CallKind, method: str) -> Call:
        self._order += 1
        top = self._stack[-1] if self._stack else None
        depth = len(self._stack)
        return Call(name, path, target, kind, method, depth, self._order - 1, top)

    def _around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        bound = 0 if call.method == "dot_product_attention" else 1
        opaque = call.kind == "layer" and is_opaque(call.target)

        def go(*inner: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            if opaque:
                return self._unseen(run, (*args[:bound], *inner), named)
            return run(*args[:bound], *inner, **named)

        self._stack.append(call)
        try:
            return self._observer.around(call, go, args[bound:], kwargs)
        except GoldenError as error:
            # Else Keras makes another exception of it, with all arguments of the layer as text.
            error._keras_call_info_injected = True  # type: ignore[attr-defined]
            raise
        finally:
            self._stack.pop()

    def _unseen(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        self._blind += 1
        try:
            return run(*args, **kwargs)
        finally:
            self._blind -= 1

    def path_of(self, target: Any) -> str:
        """The structural path of a model that is about to be called outermost."""
        path = self._path(target, None)
        return "" if path is None else path

    def _path(self, target: Any, top: Call | None) -> str | None:
        path = self.structure.path(target)
        if path is not None or not is_layer(target):
            return path
        if top is None and not self._any_root:
            self.structure.walk()
            return self.structure.path(target)
        if top is None:
            return self._new_root(target)
        return self._found(target, top)

    def _found(self, target: Any, top: Call) -> str:
        """The path of a layer made since the last look, or one that no attribute leads to."""
        self.structure.walk()
        path = self.structure.path(target)
        if path is None:
            snake = snake_case(type(target).__name__)
            inside = f"{top.path}/{snake}"
            count = self._roots[inside] = self._roots.get(inside, -1) + 1
            path = joined(top.path, f"{snake}#{count}")
            self.structure.adopt(target, path)
            self.met(target)
        return path

    def _new_root(self, target: Any) -> str:
        snake = snake_case(type(target).__name__)
        count = self._roots[snake] = self._roots.get(snake, -1) + 1
        path = snake if count == 0 else f"{snake}#{count}"
        self.structure.add_root(target, path)
        return path


def counted(name: str, counts: dict[str, int]) -> str:
    """`name` the first time, `name@k` for its k-th repetition."""
    count = counts[name] = counts.get(name, -1) + 1
    return f"{name}@{count}" if count else name


def is_layer(target: Any) -> bool:
    return is_of(target, "Layer")


def is_same(outer: Any, inner: Any) -> bool:
    """One call for the watcher: itself again, or the graph that a Sequential keeps inside."""
    return outer is inner or getattr(outer, "_functional", None) is inner


@contextmanager
def watching(
    root: Any | None,
    observer: Observer,
    *,
    aliases: Sequence[tuple[str, str]] = (),
    accept: Accept | None = None,
    at: Sequence[CallSite] | None = None,
) -> Iterator[Watch]:
    """Let `observer` stand around every call of `root` and what it holds, in this thread only.

    root: a layer or model; None takes whatever is called outermost. accept: told the arguments,
    says whether to observe the call; everything inside a refused one is unseen too, as it is for
    symbolic calls. at: `places()`, for who has them. Classes are as they were when the block is
    left, however it is left.
    """
    watch = Watch(root, observer, aliases, accept)
    with opened(watch, at):
        yield watch


@contextmanager
def opened(watch: Watch, at: Sequence[CallSite] | None = None) -> Iterator[None]:
    """Let a watch see the calls inside the block. at: see `watching`."""
    gated = patches.watch(places() if at is None else at, watch)
    try:
        yield
    finally:
        patches.unwatch(gated, watch)


def places() -> list[CallSite]:
    """Where calls pass by, of every class that there is now: a walk over hundreds."""
    return list(_places())


def _places() -> Iterator[CallSite]:
    import keras
    from keras.src import backend

    layers = {owner for base in classes("Layer") for owner in subclasses(base)}
    for owner in {*layers, *subclasses(keras.Operation)}:
        names = _METHODS if owner in layers else ("__call__",)
        yield from ((owner, name) for name in names if name in vars(owner))
    yield from _functions(backend, backend.nn)


def _functions(backend: ModuleType, nn: ModuleType) -> Iterator[CallSite]:
    yield backend, "compute_output_spec"
    # 3.0.5 has no fused attention.
    if "dot_product_attention" in vars(nn):
        yield nn, "dot_product_attention"


def subclasses(base: type) -> Iterator[type]:
    """`base` and every class made from it so far, each once."""
    seen = {base}
    queue = [base]
    while queue:
        current = queue.pop()
        yield current
        fresh: set[type] = set(type.__subclasses__(current)) - seen
        seen |= fresh
        queue.extend(fresh)
