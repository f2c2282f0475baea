"""What code of the test's own keeps in Python's objects, held and put back.

A suite counts how often a layer is called or a step is traced: in the layer's attributes, in
variables of the function around it, in globals of its module, in lists, in mocks. Code is followed
from the layers of a model and from what it was compiled with, by the names that it speaks of.
Variables of Keras are no tallies: `Snapshot` and `ModelState` hold those.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...authors import is_foreign
from ..backends import is_concrete, is_tensor, refill
from ..backends.nest import leaves

_SCALARS = (str, bytes, int, float, complex, type(None))
_CONTAINERS: dict[Any, Callable[[Any, Any], None]] = {
    OrderedDict: OrderedDict.update,
    dict: dict.update,
    list: list.extend,
    set: set.update,
    deque: deque.extend,
}
"""What fills each, past what a subclass, such as Keras' tracked lists, makes of that. Most special
first."""

_KINDS = tuple(_CONTAINERS)
_FUNCTIONS = (FunctionType, MethodType, property, staticmethod, classmethod, partial)
_MOCK = "unittest.mock"

_FEW = 100
"""Elements of a container up to which containers in it are held as well."""

_SMALL = 1024
"""Elements of an array up to which it may be a tally."""

_KERAS = frozenset({"keras", "keras_hub", "keras_nlp", "keras_cv", "tf_keras"})
"""Foreign even where they are a source checkout."""

_users: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
"""Weak, since a class of a test holds what the test's functions hold."""


class Tallies:
    """All that the test's own code below `root` may count in: a layer, loss, metric or optimizer,
    or the class of one."""

    def __init__(self, root: Any) -> None:
        self._seen: set[int] = set()
        self._worth: dict[type, bool] = {}
        self._spaces: list[tuple[dict[str, Any], str, Any]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._contents: list[tuple[Any, Any]] = []
        self._attributes: list[tuple[type, str, Any]] = []
        self._filled: list[Callable[[], object]] = []
        # Objects of a test may raise when they are looked at, or change under another thread.
        with suppress(Exception):
            for one in _reached(root):
                self._of_object(one)

    def restore(self) -> None:
        for kind, name, value in self._attributes:
            _bind_again(kind, name, value)
        for space, name, value in self._spaces:
            if space.get(name) is not value:
                space[name] = value
        for cell, value in self._cells:
            if cell.cell_contents is not value:
                cell.cell_contents = value
        for container, kept in self._contents:
            _put_back(container, kept)
        for fill in self._filled:
            fill()

    def _is_new(self, value: Any) -> bool:
        if id(value) in self._seen:
            return False
        self._seen.add(id(value))
        return True

    def _of_object(self, one: Any) -> None:
        """Functions that were given to it, and, of a class of the test's own, what these count."""
        kind = one if isinstance(one, type) else type(one)
        if not self._is_new(one):
            return
        spoken: set[str] = set()
        for function in _functions(kind) if is_users(kind) else ():
            spoken |= self._of_function(function)
        self._of_class(kind, spoken)
        space = getattr(one, "__dict__", None)
        if not isinstance(space, dict):
            return
        every = kind.__module__ == _MOCK
        for name, value in list(space.items()):
            if every or name in spoken:
                self._bind(space, name)
            elif self._is_worth(type(value)):
                self._follow(value)

    def _of_class(self, kind: Any, spoken: set[str]) -> None:
        """What instances count in together, `Model.calls += 1`."""
        if isinstance(kind, type) and is_users(kind):
            for base in kind.__mro__:
                own = vars(base) if not _is_anothers(base.__module__) else {}
                for name in spoken & own.keys():
                    if self._hold(own[name]):
                        self._attributes.append((base, name, own[name]))

    def _of_function(self, function: FunctionType) -> set[str]:
        """Every name that it speaks of; its variables and globals among them are held."""
        names = _names(function.__code__)
        if self._is_new(function):
            for cell in function.__closure__ or ():
                self._of_cell(cell)
            for name in names & function.__globals__.keys():
                self._bind(function.__globals__, name)
                self._of_class(function.__globals__[name], names)
            for value in function.__defaults__ or ():
                self._hold(value)
        return names

    def _of_cell(self, cell: CellType) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # it is empty
            return
        if self._hold(value):
            self._cells.append((cell, value))

    def _bind(self, space: dict[str, Any], name: str) -> None:
        value = space[name]
        if self._hold(value):
            self._spaces.append((space, name, value))

    def _hold(self, value: Any, deep: bool = True) -> bool:
        """Whether a name for it may be given another value; what it has inside is held."""
        if isinstance(value, _SCALARS):
            return True
        if isinstance(value, _KINDS):
            self._of_container(value, deep)
            return True
        if is_tensor(value) and not isinstance(value, np.ndarray):
            return self._of_tensor(value)
        if isinstance(value, np.ndarray):
            small = value.size <= _SMALL and value.dtype.kind in "biufc"
            if small and value.flags.writeable and self._is_new(value):
                self._filled.append(partial(_fill, value, value.copy()))
            return False
        self._follow(value)
        return False

    def _of_tensor(self, value: Any) -> bool:
        """One that a step adds to, `self.seen.assign_add(1)`. A variable of Keras is the state of
        a model."""
        small = is_concrete(value) and int(np.prod(value.shape)) <= _SMALL
        fill = refill(value) if small and self._is_new(value) else None
        if fill is not None:
            self._filled.append(fill)
        return is_concrete(value) and not hasattr(value, "assign")

    def _of_container(self, value: Any, deep: bool) -> None:
        if not self._is_new(value):
            return
        mapping = isinstance(value, dict)
        self._contents.append((value, dict(value) if mapping else list(value)))
        if deep and len(value) <= _FEW:
            for inner in value.values() if mapping else value:
                if not isinstance(inner, _SCALARS):
                    self._hold(inner, deep=False)

    def _is_worth(self, kind: type) -> bool:
        """Whether following an object of this class may lead to code of the test's own."""
        known = self._worth.get(kind)
        if known is None:
            ours = kind in _FUNCTIONS or kind.__module__ == _MOCK or is_users(kind)
            known = self._worth[kind] = ours or hasattr(kind, "__wrapped__")
        return known

    def _follow(self, value: Any) -> None:
        for function in _unwrapped(value):
            if not _is_anothers(function.__module__ or ""):
                self._of_function(function)
        if is_users(type(value)) or type(value).__module__ == _MOCK:
            self._of_object(value)


def is_users(kind: type) -> bool:
    """Whether a class, or one that it inherits from, is the test's own."""
    known = _users.get(kind)
    if known is None:
        modules = (base.__module__ for base in kind.__mro__)
        known = _users[kind] = not all(map(_is_anothers, modules))
    return known


def _is_anothers(module: str) -> bool:
    top = module.partition(".")[0]
    return top in _KERAS or top == "pytest_keras_golden" or is_foreign(module)


def _reached(root: Any) -> Iterator[Any]:
    """The root, the layers below it, and what a model was compiled with."""
    yield root
    flattened = getattr(root, "_flatten_layers", None)
    yield from flattened() if callable(flattened) else ()
    compiled = getattr(getattr(root, "_compile_config", None), "config", None)
    yield from leaves(compiled) if isinstance(compiled, dict) else ()


def _functions(kind: type) -> Iterator[FunctionType]:
    for base in kind.__mro__:
        if not _is_anothers(base.__module__):
            for value in vars(base).values():
                yield from _unwrapped(value)


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    """The functions of Python in a method, property, partial or what a decorator made of one."""
    for _ in range(8):
        if isinstance(value, FunctionType):
            yield value
        if isinstance(value, property):
            value = value.fget
        elif isinstance(value, (MethodType, staticmethod, classmethod)):
            value = value.__func__
        elif isinstance(value, partial):
            value = value.func
        else:
            space = getattr(value, "__dict__", None)
            value = space.get("__wrapped__") if isinstance(space, dict) else None
        if value is None:
            return


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _bind_again(kind: type, name: str, value: Any) -> None:
    # To set an attribute of a class drops what Python remembers of its methods.
    if vars(kind).get(name) is not value:
        setattr(kind, name, value)


def _fill(array: Any, kept: Any) -> None:
    # What ran may have made it read-only, and then has no more to put back.
    if array.flags.writeable and not np.array_equal(array, kept):
        array[...] = kept


def _put_back(container: Any, kept: Any) -> None:
    kind, fill = next(of for of in _CONTAINERS.items() if isinstance(container, of[0]))
    if isinstance(container, dict):
        now: Any = [*container.keys(), *container.values()]
        then: Any = [*kept.keys(), *kept.values()]
    else:
        now, then = list(container), kept
    if len(now) == len(then) and all(map(operator.is_, now, then)):
        return
    kind.clear(container)
    fill(container, kept)
