"""HTML pages from the templates of a package's `assets` folder; what is filled in is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..errors import ConfigError
from .escape import finalize

CHARTS = ("jinja2", "plotly")
TEXT = ("jinja2",)


def demand_html(needed: Sequence[str] = CHARTS) -> None:
    """Called before anything runs. Raises ConfigError where no HTML page could be written then.

    needed: `TEXT` for a page in which nothing may come to be drawn.
    """
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"an HTML report needs {' and '.join(missing)}",
            "Run: pip install 'pytest-keras-golden[report]', or ask for Markdown instead.",
        )


def filled(package: str, name: str, **values: Any) -> str:
    """The template `name` with its values; whoever asked for it called `demand_html` before."""
    from jinja2 import Environment, PackageLoader

    assets = PackageLoader(package, "assets")
    template = Environment(loader=assets, autoescape=True, finalize=finalize)
    return template.get_template(name).render(**values)
