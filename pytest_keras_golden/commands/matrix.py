"""`keras-golden matrix V… [-- pytest arguments]`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .arguments import (
    add_pages,
    add_shared,
    default_jobs,
    demand_usable,
    identity,
    inner_runs,
    pins_of,
    suite_of,
)
from .gate import EXIT_CODES, tell

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
    add_pages(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..stacks.overlay.releases import resolve
    from ..versions import matrix_page
    from ..versions.matrix import matrix

    demand_usable(arguments)
    suite = suite_of(arguments)
    versions = resolve(arguments.versions, arguments.package, pre=arguments.pre)
    if len(versions) < 2:
        raise ConfigError(f"A matrix needs two versions; this is {versions[0]} alone.", "Add one.")
    # Not the versions: a matrix with one more column goes on from what is there.
    named = [*identity(arguments, "matrix"), versions[0]]
    sides, missing = sides_of(arguments, versions)
    with inner_runs(arguments, named, f"matrix of {arguments.package}") as (place, told, where):
        result = matrix(sides, suite, place, where, told, missing)
    tell(arguments, result, matrix_page)
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
