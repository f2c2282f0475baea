"""`keras-golden report LOG…`: outcome logs as Markdown or HTML."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..report.logs import read_document
from ..report.output import note, say, writing_to
from .examples import examples


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "report",
        help="one report from the logs of one or more runs",
        description="One report from the logs of one or more runs (pytest --golden-log), as "
        "Markdown on standard output, or as the file's suffix says. Exit code 0 where the report "
        "is written, whatever the runs came to: pytest's own exit code is the verdict.",
        **examples(
            "report log.json -o report.html", "report log-3.5.0.json log-3.6.0.json > report.md"
        ),
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=".html or .md")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..report.files import demand_format, rendered, write_report

    if arguments.output is not None:
        demand_format(arguments.output.suffix)
    documents = [read_document(path) for path in arguments.logs]
    if arguments.output is None:
        say(rendered(documents, ".md"))
        return 0
    with writing_to("-o FILE"):
        write_report(documents, arguments.output)
    note(f"wrote {arguments.output} ({arguments.output.stat().st_size:,} bytes)")
    return 0
