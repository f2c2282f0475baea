"""`keras-golden ci [-- pytest arguments]`: gate the lock file that a change moves, and say so."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ci.folder import COMMENT, ISSUE, JSON, PAGE
from ..errors import ConfigError, GoldenError
from ..report.escape import prose, visible
from ..report.output import note, say
from . import gate
from .arguments import add_shared, default_jobs
from .ci_job import RECIPES, CiJob, backend, renew, text_in, write
from .examples import examples


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "ci",
        help="gate the lock file that a pull request moves; summary, comment, artifact",
        description="Find the lock file that this change moves and the revision before it, gate "
        "one against the other, write pages into a folder to keep as an artifact, add to the job's "
        "summary and keep one comment of the pull request up to date. GitHub Actions, GitLab CI "
        "and plain shells are known by their own variables. Exit codes as those of gate; 0 where "
        "no lock file moves.",
        **examples(
            "ci -- tests/",
            "ci --against latest --pre -- tests/",
        ),
    )
    parser.add_argument(
        "--lock", type=Path, metavar="FILE", help="the lock file, where several move"
    )
    parser.add_argument("--base", metavar="REVISION", help="what to compare with")
    parser.add_argument(
        "--against",
        metavar="SIDE",
        help="judge this side instead, for nightly runs: latest, jax==0.11.0, keras@FILE.whl; on "
        f"drift, {ISSUE} is the text of an issue",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("keras-golden-ci"),
        metavar="DIR",
        help="where pages and JSON go (default: keras-golden-ci)",
    )
    parser.add_argument("--no-comment", action="store_true", help="write no comment")
    parser.add_argument(
        "--post",
        type=Path,
        metavar="DIR",
        help="run nothing: post the comment that a run for a fork left in this folder",
    )
    add_shared(parser, jobs=default_jobs(2))
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..ci.folder import opened
    from ..ci.surroundings import surroundings
    from ..versions.pages.conclusion import issue_title

    if arguments.post is not None:
        return _post(arguments.post)
    around = surroundings(os.environ)
    change = _change(arguments, around.base)
    output = opened(arguments.output)
    job = CiJob(arguments, around, output, None if isinstance(change, str) else change.name)
    if isinstance(change, str):
        say(visible(change))
        job.settle(prose(change))
        return gate.EXIT_CODES["holds"]
    try:
        result = gate.judged(_gate_arguments(arguments, change, output), job.keep)
    except GoldenError as error:
        job.settle(f"**Not judged.** {prose(error.problem)}", summary=True)
        raise
    job.tell()
    if arguments.against is not None and result is not None and result.verdict == "drift":
        write(output / ISSUE, f"# {visible(issue_title(result))}\n\n{text_in(output)}")
    return gate.EXIT_CODES["holds" if result is None else result.verdict]


@dataclass(frozen=True, slots=True)
class Bump:
    """The two sides. name: of the comment, so that jobs of other locks and backends have their
    own."""

    old: str
    new: str
    name: str


def _change(arguments: argparse.Namespace, base: str | None) -> Bump | str:
    """What is to be gated, or in a sentence why there is nothing to gate."""
    from ..ci import lockfile

    if arguments.against is not None:
        lock = lockfile.named(arguments.lock) if arguments.lock else lockfile.only_lock()
        return _nightly(arguments, lock)
    revision = lockfile.available(arguments.base or base or lockfile.usual_base())
    lock = lockfile.named(arguments.lock) if arguments.lock else lockfile.moved_lock(revision)
    if lock is None:
        return f"No lock file differs from {revision[:12]}: nothing was run."
    if not lockfile.was_there(revision, lock):
        raise ConfigError(
            f"{lock} is new: {revision[:12]} has no such file to compare with.",
            "Name two sides: keras-golden gate 3.14.1 3.15.1 -- tests/",
        )
    name = f"{lock.as_posix()} {backend()}".rstrip()
    return Bump(f"{revision}:{lock.as_posix()}", lock.as_posix(), name)


def _nightly(arguments: argparse.Namespace, lock: Path | None) -> Bump:
    from importlib.metadata import PackageNotFoundError, version

    if lock is not None:
        old = lock.as_posix()
        return Bump(old, f"{old},{arguments.against}", arguments.against)
    try:
        return Bump(version(arguments.package), arguments.against, arguments.against)
    except PackageNotFoundError as error:
        raise ConfigError(
            f"{arguments.package} is not installed, and no lock file says which one is in use."
        ) from error


def _gate_arguments(
    arguments: argparse.Namespace, change: Bump, output: Path
) -> argparse.Namespace:
    given = vars(arguments) | {
        "old": change.old,
        "new": change.new,
        "json": str(output / JSON),
        "html": output / PAGE if _has_pages() else None,
        "markdown": output / COMMENT,
        "no_culprit": False,
        "repo": None,
        "accepted": None,
    }
    return argparse.Namespace(**given)


def _has_pages() -> bool:
    """Whether HTML can be written here; without it the numbers are judged all the same."""
    from ..report.template import TEXT, demand_html

    try:
        demand_html(TEXT)
    except ConfigError as error:
        install, _, _ = error.fix.partition(",")
        note(f"no {PAGE}: {error.problem}; {COMMENT} says the same. {install}")
        return False
    return True


def _post(folder: Path) -> int:
    """Of a `workflow_run` event: what the run of a fork, which may not write, has left.

    Its files are strangers' input: the pull request that they name must be at the commit whose run
    has completed.
    """
    from ..ci.comments import post
    from ..ci.folder import comment_in
    from ..ci.surroundings import event_of, github, pull_request_of_run

    commit = pull_request_of_run(event_of(os.environ))
    if commit is None:
        raise ConfigError("--post is for a workflow that `workflow_run` starts.", RECIPES)
    request, text = comment_in(folder)
    place = github(os.environ, request.number)
    if place.head() != commit:
        number = request.number
        raise ConfigError(f"pull request {number} is at another commit than the run; not posted.")
    if request.name is None or request.renews:
        renewed = renew(place, request.name, request.backend, text)
        say("comment renewed" if renewed else "nothing to say, and no comment to renew")
    else:
        say(f"comment {post(place, request.name, text)}")
    return 0
