"""`keras-golden matrix V… [-- pytest arguments]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, GoldenError
from .arguments import (
    add_pages,
    add_shared,
    asked,
    default_jobs,
    demand_usable,
    identity,
    inner_runs,
    suite_of,
)
from .examples import examples
from .gate import EXIT_CODES, tell, told_if_unmeasured
from .sides import as_written, drawing_alike, installed_sides, stacks_of

if TYPE_CHECKING:
    from ..stacks.side import Side
    from ..versions.matrix import MatrixResult


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "matrix",
        help="a suite under many versions: which test moved where",
        description="Run a suite under every version named. The first is the anchor; each cell is "
        "a verdict against the left neighbour and against the anchor. Finished cells of an "
        "interrupted matrix are kept. Exit code 0: everything holds; 1: a red cell; 2: no measure.",
        **examples(
            "matrix 3.3.3..3.6 3.14.1..latest --jobs 2 -- tests/",
            "matrix 3.14.1 3.15.1 --html matrix.html -- tests/",
        ),
    )
    parser.add_argument(
        "versions",
        nargs="+",
        metavar="V",
        help="3.5.0, 3.3.3..3.6, '>=3.9,<3.12', 3.14.*, latest, or a side",
    )
    add_shared(parser, jobs=default_jobs(8))
    add_pages(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..stacks.installing import fingerprint
    from ..versions.matrix import matrix, unmeasured, written
    from ..versions.pages import matrix_html, matrix_page

    demand_usable(arguments)
    suite = suite_of(arguments)
    _refuse_paths(arguments.versions)
    texts = columns(arguments)
    if len(texts) < 2:
        raise ConfigError(f"A matrix needs two sides; this is {texts[0]} alone.", "Add one.")

    def telling(anchor: Side) -> AbstractContextManager[None]:
        def known(error: GoldenError) -> MatrixResult:
            return unmeasured(anchor, arguments.package, error)

        return told_if_unmeasured(arguments, known, matrix_page, matrix_html)

    with telling(as_written(arguments, texts[0])):
        stacks = stacks_of(arguments, texts)
        suite = drawing_alike(suite, stacks)
        sides, missing = installed_sides(arguments, stacks)
    # Not the others: a matrix with one more column goes on from what is there.
    named = [*identity(arguments, "matrix"), fingerprint(stacks[0])]
    with inner_runs(arguments, named, f"matrix of {arguments.package}") as (place, told, where):
        with telling(sides[0]):
            result = matrix(sides, suite, place, where, told, missing, arguments.package)
        given = asked(arguments, texts[0], texts[-1])
        result = replace(result, asked=given, written=written(sides))
        html = matrix_html.page(result) if arguments.html is not None else None
    tell(arguments, result, matrix_page, html)
    return EXIT_CODES[result.verdict]


def _refuse_paths(texts: Sequence[str]) -> None:
    """What pytest is to take, where a side is expected."""
    from ..stacks.grammar import is_lock

    paths = [text for text in texts if Path(text.partition("::")[0]).exists() and not is_lock(text)]
    if paths:
        raise ConfigError(
            f"{paths[0]} is a path, no version.",
            f"What pytest is to take goes behind `--`: keras-golden matrix … -- {paths[0]}",
        )


def columns(arguments: argparse.Namespace) -> list[str]:
    """The sides, each once: versions in their order, in the place of the first that was named."""
    from ..stacks.grammar import is_version_range
    from ..stacks.overlay.releases import resolve

    ranges = [text for text in arguments.versions if is_version_range(text)]
    versions = resolve(ranges, arguments.package, pre=arguments.pre) if ranges else []
    found: dict[str, None] = {}
    for text in arguments.versions:
        found |= dict.fromkeys(versions if text in ranges else [text])
    return list(found)
