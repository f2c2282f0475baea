"""`keras-golden diff A B`: one golden judged against another, as a test would judge it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..outcomes import to_json
from ..records import ToleranceRule
from ..report.output import add_json, emit_plain
from .examples import examples
from .inifile import find_ini

if TYPE_CHECKING:
    pass


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "diff",
        help="compare two goldens; exit code 1 beyond tolerance",
        description="Judge golden B against golden A, tensor by tensor. The tolerance of a tensor "
        "is --tolerance, else golden_tolerances of the nearest pytest ini file, else the one that "
        "A was recorded with, else the default of its precision.",
        **examples(
            "diff OLD.safetensors NEW.safetensors",
            "diff OLD.safetensors NEW.safetensors --tolerance k=10",
        ),
    )
    parser.add_argument("a", type=Path, metavar="A", help="the baseline")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument("--tolerance", metavar="T", help="for all tensors: k=5, or rtol=… atol=…")
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..case.pair import compare
    from ..report.terminal import columns, comparison_page
    from ..store.codec import Golden
    from ..tolerance import parse

    asked = None if arguments.tolerance is None else parse(arguments.tolerance)
    with Golden.open(arguments.a) as a, Golden.open(arguments.b) as b:
        outcome = compare(a, b, asked, ini_rules())
        reasons = (("A", a.header.reason), ("B", b.header.reason))
    said = [f"{side} was recorded because: {text}" for side, text in reasons if text]
    emit_plain(
        arguments.json,
        to_json(outcome) | {"reasons": dict(reasons)},
        lambda: "\n".join([comparison_page(outcome, columns()), *said]),
    )
    return int(outcome.outcome == "failed")


def ini_rules() -> tuple[ToleranceRule, ...]:
    """`golden_tolerances` of the nearest pytest ini file. Raises ConfigError."""
    from ..tolerance import parse_rules

    ini = find_ini(Path.cwd())
    return () if ini is None else parse_rules(ini.lines("golden_tolerances"))
