"""`keras-golden report LOG…`: outcome logs as Markdown or HTML."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .logs import read_log, tests_of
from .output import note, say


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "report",
        help="one report from the logs of one or more runs",
        description="One report from the logs of one or more runs (pytest --golden-log), as "
        "Markdown on standard output, or as the file's suffix says.",
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=".html or .md")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    documents = [read_log(path) for path in arguments.logs]
    tests_of(documents)
    if arguments.output is None:
        say(rendered(documents, ".md"))
        return 0
    text = rendered(documents, arguments.output.suffix)
    try:
        arguments.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {arguments.output}: {error.strerror}", "Name a writable file: -o FILE"
        ) from error
    note(f"wrote {arguments.output} ({len(text.encode()):,} bytes)")
    return 0


def rendered(documents: Sequence[Mapping[str, Any]], suffix: str) -> str:
    """The report in the format of a file's suffix. Raises ConfigError for an unknown one."""
    if suffix == ".html":
        from ..report.html import render as html

        return html(documents)
    if suffix == ".md":
        from ..report.markdown import render as markdown

        return markdown(documents)
    raise ConfigError(f"{suffix or 'no suffix'}: unknown format", "Use .html or .md.")
