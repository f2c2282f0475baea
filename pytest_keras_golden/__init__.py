"""Numerical reproducibility assertions for Keras models, as a pytest plugin.

Importing this package (or loading the plugin) imports neither numpy nor keras nor any backend;
public names are resolved on first use.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["GoldenError", "GoldenTensors", "__version__"]

_LAZY = {"GoldenTensors": "case.fixture", "GoldenError": "errors"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
