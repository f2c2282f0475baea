"""Whether a test can reach Keras at all, told from its code before it runs.

Under `golden_auto` every test counts as golden, and most suites have tests that have nothing to do
with Keras: they must run as if the plugin was not there, with the random numbers that they would
have had. So the names that a test's code speaks of are followed, through its module, its fixtures
and what these call. Where the way is lost (an object of unknown making, a name looked up at run
time), the test counts as one that may reach Keras.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

from ..authors import is_foreign

KERAS = frozenset({"keras", "keras_hub", "keras_nlp", "keras_cv", "tensorflow", "tf_keras"})
"""Packages whose use is a use of Keras."""

_DYNAMIC = frozenset({"import_module", "__import__", "exec", "eval", "importorskip", "globals"})
"""Names behind which anything may be."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
_MOST = 20_000
"""Objects looked at for one test; beyond, it may reach Keras."""


def may_reach_keras(item: pytest.Item) -> bool:
    """Whether the test, or a fixture it uses, may call Keras."""
    search = _Search()
    return any(search.reaches(start) for start in _starts(item))


def _starts(item: pytest.Item) -> Iterator[Any]:
    yield getattr(item, "function", None) or getattr(item, "obj", item)
    yield getattr(item, "cls", None)
    info = getattr(item, "_fixtureinfo", None)
    for definitions in getattr(info, "name2fixturedefs", {}).values():
        yield from (definition.func for definition in definitions)
    yield from getattr(getattr(item, "callspec", None), "params", {}).values()


class _Search:
    """One walk over what code speaks of; everything is looked at once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._kept: list[Any] = []

    def reaches(self, start: Any) -> bool:
        waiting = [start]
        while waiting:
            value = waiting.pop()
            if id(value) in self._seen or isinstance(value, _PLAIN):
                continue
            self._seen.add(id(value))
            # Kept, since the id of a freed object is soon another's.
            self._kept.append(value)
            if len(self._seen) > _MOST or _is_keras(value):
                return True
            following = _following(value)
            if following is None:
                return True
            waiting += following
        return False


def _following(value: Any) -> Iterable[Any] | None:
    """What an object speaks of; None where nobody can tell."""
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        return _of_function(value)
    if isinstance(value, ModuleType):
        # Which of its names is used is told where a function names it.
        return []
    if isinstance(value, type):
        return _of_class(value)
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return [type(value), *_held(value)]


def _held(value: Any) -> list[Any]:
    held = getattr(value, "__dict__", None)
    wrapped = getattr(value, "__wrapped__", None), getattr(value, "func", None)
    return [*(held.values() if isinstance(held, dict) else ()), *wrapped]


def _of_function(function: FunctionType) -> list[Any] | None:
    if is_foreign(function.__module__):
        return []
    code = list(_codes(function.__code__))
    names = {name for part in code for name in part.co_names}
    if names & KERAS:
        return None
    if names & _DYNAMIC:
        return None
    space = function.__globals__
    spoken: list[Any] = [space[name] for name in names if name in space]
    # `helpers.build()`: the attributes of modules that are named as well.
    modules = [value for value in spoken if isinstance(value, ModuleType)]
    spoken += [vars(m)[name] for m in modules for name in names if name in vars(m)]
    spoken += [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    spoken += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*spoken, getattr(function, "__wrapped__", None)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _of_class(kind: type) -> list[Any]:
    if is_foreign(kind.__module__):
        return []
    methods = [getattr(value, "__func__", value) for value in vars(kind).values()]
    return [*kind.__bases__, *methods]


def _is_keras(value: Any) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    top = str(name).partition(".")[0]
    return top in KERAS or (top != "builtins" and _package_uses_keras(top))


@lru_cache(maxsize=256)
def _package_uses_keras(top: str) -> bool:
    """Whether an installed package, as far as it is loaded, has Keras among its names."""
    if not is_foreign(top) or top in sys.stdlib_module_names or top in _NEVER:
        return False
    modules = [m for name, m in list(sys.modules.items()) if name.partition(".")[0] == top]
    return any(_names_keras(module) for module in modules if isinstance(module, ModuleType))


_NEVER = frozenset({"_pytest", "pytest", "pluggy", "pytest_keras_golden", "numpy", "hypothesis"})
"""Packages whose objects nearly every test holds, and that have nothing to do with Keras."""


def _names_keras(module: ModuleType) -> bool:
    return any(
        isinstance(value, ModuleType) and value.__name__.partition(".")[0] in KERAS
        for value in list(vars(module).values())
    )
