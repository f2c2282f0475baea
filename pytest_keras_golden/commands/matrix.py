"""`keras-golden matrix V… [-- pytest arguments]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..report.output import add_json, emit
from .arguments import (
    add_shared,
    default_jobs,
    demand_usable,
    ended_by_sigterm,
    identity,
    pins_of,
    suite_of,
)
from .gate import EXIT_CODES, append, write

if TYPE_CHECKING:
    from ..versions.gate import Side


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "matrix",
        help="a suite under many versions: which test moved where",
        description="Run a suite under every version named. The first is the anchor; each cell is "
        "a verdict against the left neighbour and against the anchor. Finished cells of an "
        "interrupted matrix are kept. Exit code 0: everything holds; 1: a red cell; 2: no measure.",
        epilog="example: keras-golden matrix 3.3.3..3.6 3.14.1..latest --jobs 2 -- tests/",
    )
    parser.add_argument(
        "versions", nargs="+", metavar="V", help="3.5.0, 3.3.3..3.6, '>=3.9,<3.12', 3.14.*, latest"
    )
    add_shared(parser, jobs=default_jobs(8))
    add_json(parser)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append a summary")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page")
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..versions import matrix_page
    from ..versions.inner.jobs import runner
    from ..versions.inner.progress import progress
    from ..versions.inner.workspace import workspace
    from ..versions.matrix import matrix
    from ..versions.overlay.releases import resolve

    demand_usable(arguments)
    suite = suite_of(arguments)
    versions = resolve(arguments.versions, arguments.package, pre=arguments.pre)
    if len(versions) < 2:
        raise ConfigError(f"A matrix needs two versions; this is {versions[0]} alone.", "Add one.")
    # Not the versions: a matrix with one more column goes on from what is there.
    named = [*identity(arguments, "matrix"), versions[0]]
    sides, missing = sides_of(arguments, versions)
    with (
        ended_by_sigterm(),
        workspace(named, Path.cwd(), kept=arguments.keep) as place,
        progress(f"matrix of {arguments.package}", os.environ) as told,
        runner(arguments.jobs, arguments.executor) as where,
    ):
        result = matrix(sides, suite, place, where, told, missing)
    emit(arguments.json, result.to_json(), lambda: matrix_page.terminal(result))
    if arguments.markdown is not None:
        append(arguments.markdown, matrix_page.markdown(result))
    if arguments.html is not None:
        write(arguments.html, matrix_page.page(result))
    return EXIT_CODES[result.verdict]


def sides_of(
    arguments: argparse.Namespace, versions: list[str]
) -> tuple[list[Side], dict[str, str]]:
    """A side per version, made side by side; and, per version that cannot be had, the reason."""
    from ..errors import StackError
    from ..versions.gate import Side
    from ..versions.inner.jobs import map_parallel

    def make(version: str) -> Side | StackError:
        try:
            return Side(pins_of(arguments, version))
        except StackError as error:
            return error

    made = dict(zip(versions, map_parallel(make, versions, arguments.jobs), strict=True))
    if isinstance(made[versions[0]], StackError):
        raise made[versions[0]]
    missing = {v: str(error) for v, error in made.items() if isinstance(error, StackError)}
    return [side for side in made.values() if isinstance(side, Side)], missing
