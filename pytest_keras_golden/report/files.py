"""A run's reports on disk: where the format follows from the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.atomic import append_whole, write_whole

Log = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def demand_format(suffix: str) -> None:
    """Called before anything runs. Raises ConfigError where a report could not be written then:
    its format is unknown, or needs packages that are not installed."""
    if suffix not in (".html", ".md"):
        raise ConfigError(f"{suffix or 'no suffix'}: unknown format", "Use .html or .md.")
    if suffix == ".html":
        from .template import demand_html

        demand_html()


def rendered(log: Log, suffix: str) -> str:
    """The report in the format of a file's suffix. Raises as `demand_format`."""
    demand_format(suffix)
    if suffix == ".html":
        from .html import render as html

        return html(log)
    from .markdown import render as markdown

    return markdown(log)


def write_report(log: Log, path: Path) -> None:
    """Write the report; its folder is made where it is missing. Raises OSError."""
    write_whole(path, rendered(log, path.suffix))


def append_step_summary(log: Mapping[str, Any], summary: str | None) -> None:
    """Add the Markdown to the file of `GITHUB_STEP_SUMMARY`, where one is named and any golden
    test ran. Raises OSError."""
    if not summary or not (log["tests"] or log["collection_errors"]):
        return
    append_whole(Path(summary), rendered(log, ".md") + "\n")
