"""`keras-golden bisect GOOD BAD [-- pytest arguments]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..release import parsed
from ..report.escape import first_line, shortened, visible
from ..report.output import add_json, emit
from .arguments import add_shared, asked, demand_usable, identity, inner_runs, suite_of
from .examples import examples
from .sides import at_version, releases_between, stack_of

if TYPE_CHECKING:
    from ..stacks.chosen import Stack
    from ..versions.bisect import BisectResult, Probe

HOLDS, USAGE = 0, 2


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "bisect",
        help="since which release, and by which commit, does a test drift?",
        description="Binary search over the releases from GOOD to BAD for the first under which "
        "the tests drift against GOOD; with --repo over the commits of that release as well. "
        "Releases under which the tests cannot run are skipped and named. "
        "Exit code 0: found; 2: the ends are not good and bad, or a clone that cannot serve.",
        **examples(
            "bisect 3.5.0 3.15.1 -- tests/test_model.py",
            "bisect 3.5.0 3.6.0 --repo ~/keras -- tests/test_model.py",
        ),
    )
    parser.add_argument("good", metavar="GOOD")
    parser.add_argument("bad", metavar="BAD")
    parser.add_argument("--repo", type=Path, metavar="CLONE", help="a git clone of the package")
    add_shared(parser, jobs=1)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..stacks.clone import Clone
    from ..stacks.installing import fingerprint
    from ..versions.bisect import bisect_commits, bisect_releases

    demand_usable(arguments)
    suite = suite_of(arguments)
    good, bad = (stack_of(arguments, text) for text in (arguments.good, arguments.bad))
    versions = releases_between(arguments, *(version_of(arguments, s) for s in (good, bad)))
    make_side = partial(at_version, arguments, good)
    make_side(versions[0])
    named = [*identity(arguments, "bisect"), fingerprint(good)]
    with inner_runs(arguments, named, f"bisect {arguments.package}") as (place, told, where):
        result, prober = bisect_releases(
            versions, make_side, suite, place, where, told, arguments.package
        )
        if arguments.repo is not None:
            clone = Clone(arguments.repo.resolve(), arguments.package)
            result = bisect_commits(result, prober, clone, make_side)
    result = replace(result, asked=asked(arguments, arguments.good, arguments.bad))
    emit(arguments.json, result.to_json(), lambda: page(result))
    return USAGE if result.no_commit else HOLDS


def version_of(arguments: argparse.Namespace, stack: Stack) -> str:
    """Of the package in question, on a side that may be a lock file."""
    from packaging.utils import canonicalize_name

    from ..stacks.chosen import shown

    found = stack.package(canonicalize_name(arguments.package))
    version = shown(found)
    if found is None or version is None or parsed(version) is None:
        raise ConfigError(
            f"The side {stack.text} has no release of {arguments.package}.",
            "Bisect the releases of another package: --package=NAME",
        )
    return version


def page(result: BisectResult) -> str:
    """The probes in order, then what was found, in the last lines."""
    lines = [*map(_probe_line, result.probes)]
    if result.commit_probes:
        lines += ["", f"commits from {result.last_good} to {result.first_bad}:"]
        lines += map(_probe_line, result.commit_probes)
    return "\n".join(map(visible, [*lines, "", *_conclusion(result)]))


def _probe_line(probe: Probe) -> str:
    return f"  {probe.answer:4}  {probe.name[:12]:12}  {shortened(first_line(probe.reason), 120)}"


def _conclusion(result: BisectResult) -> list[str]:
    from ..versions.pages import next_lines
    from ..versions.pages.conclusion import how_much

    lines = [
        f"{result.package} {result.first_bad} is the first release that drifts from {result.good} "
        f"({len(result.probes)} probes of {result.releases} releases)."
    ]
    lines += _unsure(result.between, "could not be tested and may be the first instead")
    if result.commit is not None:
        lines.append(
            f"commit {result.commit} ({len(result.commit_probes)} probes of "
            f"{result.commit_candidates} commits)"
        )
        untested = [sha[:10] for sha in result.commit_between]
        lines += _unsure(untested, "could not be tested and may be the culprit instead")
    if result.no_commit:
        lines.append(f"No commit: {result.no_commit}")
    lines += result.taken
    lines.append(f"tests that moved: {', '.join(row.nodeid for row in result.guilty) or 'none'}")
    lines += how_much(result.guilty)
    return [*lines, *next_lines.lines(next_lines.after_bisect(result))]


def _unsure(names: Sequence[str], what: str) -> list[str]:
    return [f"{', '.join(names)} {what}."] if names else []
