"""Whose code a module is: the suite's own, or somebody else's."""

from __future__ import annotations

import sys


def is_foreign(module: str | None) -> bool:
    """Whether a module, by its name, comes with Python or with an installed package."""
    top = str(module).partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top in sys.stdlib_module_names or "site-packages" in file
