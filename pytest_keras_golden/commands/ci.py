"""`keras-golden ci [-- pytest arguments]`: gate the lock file that a change moves, and say so."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, GoldenError
from ..io.atomic import append_whole, write_whole
from ..io.ownership import renew
from ..report.escape import prose, visible
from ..report.output import cannot_write, note, say
from . import gate
from .arguments import add_shared, default_jobs
from .examples import examples

PAGE, COMMENT, REQUEST, ISSUE = "gate.html", "comment.md", "pull-request.json", "issue.md"

RECIPES = "docs/ci.md has the workflow that posts it for pull requests from forks"


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
    from ..ci.surroundings import surroundings

    if arguments.post is not None:
        return _post(arguments.post)
    around = surroundings(os.environ)
    change = _change(arguments, around.base)
    if isinstance(change, str):
        say(visible(change))
        _outdate(around.place, arguments, _is_of_this_job, prose(change))
        return gate.EXIT_CODES["holds"]
    output = renew(arguments.output)
    try:
        code = gate.run(_gate_arguments(arguments, change, output))
    except GoldenError as error:
        # What an earlier commit's run said would stand there as if it were of this one.
        said = f"**Not judged.** {prose(error.problem)}"
        _outdate(around.place, arguments, lambda name: name == change.name, said)
        raise
    text = _text(output)
    if around.summary is not None:
        _append(around.summary, text)
    if around.place is not None and not arguments.no_comment:
        _comment(around.place, change.name, output, text)
    if arguments.against is not None and code == gate.EXIT_CODES["drift"]:
        _write(output / ISSUE, f"# {change.title}\n\n{text}")
    return code


@dataclass(frozen=True, slots=True)
class Bump:
    """The two sides. name: of the comment, so that jobs of other locks and backends have their own.
    title: of an issue."""

    old: str
    new: str
    name: str
    title: str


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
    name = f"{lock.as_posix()} {_backend()}".rstrip()
    return Bump(f"{revision}:{lock.as_posix()}", lock.as_posix(), name, f"{lock} moves numbers")


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND", "")


def _is_of_this_job(name: str) -> bool:
    """Whether a comment of that name is of a lock file, judged on this job's backend."""
    from ..ci.lockfile import is_lock

    lock, _, backend = name.rpartition(" ") if _backend() else (name, "", "")
    return backend == _backend() and is_lock(lock)


def _nightly(arguments: argparse.Namespace, lock: Path | None) -> Bump:
    from importlib.metadata import PackageNotFoundError, version

    title = f"{arguments.against} moves the numbers of this suite"
    if lock is not None:
        old = lock.as_posix()
        return Bump(old, f"{old},{arguments.against}", arguments.against, title)
    try:
        return Bump(version(arguments.package), arguments.against, arguments.against, title)
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
        "json": str(output / "gate.json"),
        "html": output / PAGE,
        "markdown": output / COMMENT,
        "no_culprit": False,
        "repo": None,
        "accepted": None,
    }
    return argparse.Namespace(**given)


def _text(output: Path) -> str:
    return (output / COMMENT).read_text(encoding="utf-8")


def _comment(place: Any, name: str, output: Path, text: str) -> None:
    """A comment that cannot be written decides nothing: the text is in the artifact."""
    from ..ci.comments import GitHub, post
    from ..ci.http import ServiceError

    if isinstance(place, GitHub):
        _write(output / REQUEST, json.dumps({"pull_request": place.number, "name": name}) + "\n")
    if not place.token:
        note(f"no comment: it takes {place.wants}; the text is in {output / COMMENT}")
        return
    try:
        note(f"comment {post(place, name, text)}")
    except ServiceError as error:
        note(f"no comment: {error}\nthe text is in {output / COMMENT}; {RECIPES}")


def _outdate(
    place: Any, arguments: argparse.Namespace, concerns: Callable[[str], bool], text: str
) -> None:
    """Renew comments that an earlier run has left; none is written for this."""
    from ..ci.comments import outdate
    from ..ci.http import ServiceError

    if place is None or not place.token or arguments.no_comment:
        return
    try:
        if outdate(place, concerns, text):
            note("comment renewed")
    except ServiceError as error:
        note(f"no comment: {error}")


def _post(folder: Path) -> int:
    """Of a `workflow_run` event: what the run of a fork, which may not write, has left.

    Its files are strangers' input: the pull request that they name must be at the commit whose run
    has completed.
    """
    from ..ci.comments import post
    from ..ci.surroundings import event_of, github, pull_request_of_run
    from ..io.strict import parse_object

    commit = pull_request_of_run(event_of(os.environ))
    if commit is None:
        raise ConfigError("--post is for a workflow that `workflow_run` starts.", RECIPES)
    try:
        left = parse_object((folder / REQUEST).read_bytes())
        text = _text(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} holds no comment: {error}") from error
    number, name = left.get("pull_request"), left.get("name")
    if type(number) is not int or not isinstance(name, str):
        raise ConfigError(f"{folder / REQUEST} names no pull request.")
    place = github(os.environ, number)
    if place.head() != commit:
        raise ConfigError(f"pull request {number} is at another commit than the run; not posted.")
    say(f"comment {post(place, name, text)}")
    return 0


def _append(path: Path, text: str) -> None:
    try:
        append_whole(path, text + "\n")
    except OSError as error:
        raise cannot_write(error, "GITHUB_STEP_SUMMARY") from error


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise cannot_write(error, "--output DIR") from error
