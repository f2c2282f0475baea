"""HTML pages from the templates of a package's `assets` folder; what is filled in is escaped."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ..errors import ConfigError
from .escape import finalize

NEEDED = ("jinja2", "plotly")


def demand_html() -> None:
    """Called before anything runs. Raises ConfigError where no HTML page could be written then."""
    missing = [name for name in NEEDED if find_spec(name) is None]
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
