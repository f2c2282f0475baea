"""Numerical reproducibility assertions for Keras models: a pytest plugin, and the same by hand.

`load`, `compare`, `capture` and `same` work in scripts and notebooks, without pytest.

Importing this package (or loading the plugin) imports neither numpy nor keras nor any backend;
public names are resolved on first use.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "GoldenError",
    "GoldenTensors",
    "Tensors",
    "__version__",
    "capture",
    "compare",
    "load",
    "same",
]

_LAZY = {
    "Comparison": "api.agreement",
    "GoldenError": "errors",
    "GoldenTensors": "case.fixture",
    "Tensors": "api.tensors",
    "capture": "api.watching",
    "compare": "api.agreement",
    "load": "api.tensors",
    "same": "api.agreement",
}

if TYPE_CHECKING:
    from .api.agreement import Comparison, compare, same
    from .api.tensors import Tensors, load
    from .api.watching import capture
    from .case.fixture import GoldenTensors
    from .errors import GoldenError


class _Function:
    """A function whose name is a folder's, too: importing the folder does not take its place."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, package: ModuleType | None, owner: type | None = None) -> Any:
        return self if package is None else _resolved(self.name)

    def __set__(self, package: ModuleType, folder: ModuleType) -> None:
        """The import system sets the folder's module here; its full name still finds it."""


class _Package(ModuleType):
    capture = _Function()
    compare = _Function()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_LAZY})

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        return _resolved(name)


def _resolved(name: str) -> Any:
    __tracebackhide__ = True
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_meant(name)}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def _meant(name: str) -> str:
    # What Python and pytest look for in any module is nobody's mistake, and costs nothing.
    if name.startswith("_"):
        return ""
    from .errors import did_you_mean

    return f". {did_you_mean(name, __all__)}".rstrip(" .")


sys.modules[__name__].__class__ = _Package
