"""What the version commands share on the command line."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import ConfigError, did_you_mean
from ..report.output import add_json

if TYPE_CHECKING:
    from ..versions.compared.measured import Suite
    from ..versions.gate import Asked
    from ..versions.inner.jobs import Runner
    from ..versions.inner.progress import Progress

COMMANDS = frozenset({"gate", "ci", "matrix", "bisect"})
"""Those that take pytest's arguments behind `--`."""

MEANT = "_meant"
"""Attribute of what was parsed: the option that an unknown one was perhaps to be."""


class Parser(argparse.ArgumentParser):
    """One that names the nearest word where a command, choice or option is none of those known."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            text = f"{value!r} is none. {did_you_mean(value, action.choices)}"
            known = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"{text}Choose one of: {known}.")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A variable of a script that is not set must not stand for every golden, or for the
        working directory: an empty path is `.`."""
        # A command's arguments come by here twice: first as those of the action that chooses it.
        if not arg_string.strip() and action.nargs != argparse.PARSER:
            way_out = "" if action.required else ", or leave it out"
            raise argparse.ArgumentError(action, f"empty: give it a value{way_out}")
        return super()._get_value(action, arg_string)

    def error(self, message: str) -> NoReturn:
        from ..report.terminal import fitted

        super().error(fitted(message, f"{self.prog}: error: "))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, over = super().parse_known_args(args, namespace)
        option = next((argument for argument in over if argument.startswith("--")), None)
        # A subcommand's parser, which knows its options, comes before the program's.
        if option is not None and not hasattr(known, MEANT):
            words = self._option_string_actions
            setattr(known, MEANT, did_you_mean(option.partition("=")[0], words))
        return known, over


def split_pytest_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """`gate A B -- tests -k x` as our part and pytest's; argparse would mix the two."""
    if "--" not in argv[1:] or argv[0] not in COMMANDS:
        return list(argv), []
    at = list(argv).index("--")
    return list(argv[:at]), list(argv[at + 1 :])


def parsed(
    parser: argparse.ArgumentParser, own: Sequence[str], for_pytest: Sequence[str]
) -> argparse.Namespace:
    """The command's arguments, with pytest's in `pytest_arguments`: also test paths without `--`
    before them. Ends the program with the line to type where more is left over."""
    arguments, over = parser.parse_known_args(own)
    meant = vars(arguments).pop(MEANT, "")
    arguments.pytest_arguments = [*over, *for_pytest]
    if over and (own[0] not in COMMANDS or for_pytest):
        parser.error(f"unrecognized arguments: {' '.join(over)}. {meant}".rstrip(". "))
    option = next((argument for argument in over if argument.startswith("-")), None)
    if option is not None:
        kept = list(own)
        for argument in over:
            kept.remove(argument)
        line = f"keras-golden {shlex.join(kept)} -- {shlex.join(over)}"
        parser.error(f"{option} is no argument of {own[0]}. {meant}What pytest is to take: {line}")
    return arguments


def add_shared(parser: argparse.ArgumentParser, jobs: int) -> None:
    """Options of every command that runs inner pytest sessions. jobs: the default."""
    parser.add_argument(
        "--package", default="keras", metavar="NAME", help="what is bumped (default: keras)"
    )
    parser.add_argument(
        "--with",
        dest="others",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME==VERSION",
        help="overlay other packages in every run",
    )
    parser.add_argument("--pre", action="store_true", help="pre-releases count in ranges")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="end an inner run")
    parser.add_argument(
        "--jobs", type=_at_least_one, default=jobs, metavar="N", help=f"default: {jobs}"
    )
    parser.add_argument(
        "--executor", metavar="dask://HOST:PORT", help="run on a Dask cluster instead of here"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep goldens, logs and candidates in this new or empty folder, and take finished "
        "runs from it that nothing has changed for",
    )


def add_pages(parser: argparse.ArgumentParser) -> None:
    """Options of a command whose result is also a page."""
    add_json(parser)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append a summary")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page")


def default_jobs(most: int) -> int:
    return max(1, min(most, os.cpu_count() or 1))


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number of seconds")
    return number


def demand_usable(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for what could not be carried out, before anything is made or run."""
    from ..stacks.overlay.named import package_name

    package_name(arguments.package)
    others_of(arguments)
    written = [getattr(arguments, name, None) for name in ("json", "markdown", "html")]
    demand_writable(*written)
    clone = getattr(arguments, "repo", None)
    if clone is not None and not clone.is_dir():
        raise ConfigError(f"--repo {clone}: there is no such folder.", "Name a git clone.")
    if getattr(arguments, "html", None) is not None:
        from ..report.template import TEXT, demand_html

        demand_html(TEXT)
    if arguments.executor is not None:
        from ..versions.inner.cluster import check_address

        check_address(arguments.executor)
    if arguments.keep is not None:
        from ..io.ownership import check_free

        check_free(arguments.keep.resolve())


def demand_writable(*files: Path | str | None) -> None:
    """Raise ConfigError where a result could not be written: before the runs, not after them."""
    for file in files:
        if file is None or file == "-":
            continue
        path = Path(file)
        target = path if path.exists() else path.resolve().parent
        if path.is_dir() or not os.access(target, os.W_OK):
            raise ConfigError(f"cannot write {path}", "Name a file in a folder that is there.")


def suite_of(arguments: argparse.Namespace) -> Suite:
    from ..versions.compared.measured import Suite

    if any(argument.startswith("--update-goldens") for argument in arguments.pytest_arguments):
        raise ConfigError(
            "--update-goldens behind `--` would write where numbers are to be compared.",
            "Leave it out: these runs keep temporary goldens of their own.",
        )
    return Suite(
        tuple(arguments.pytest_arguments), Path.cwd(), arguments.timeout, _written(arguments)
    )


def _written(arguments: argparse.Namespace) -> tuple[Path, ...]:
    """The files that the command writes when it is done."""
    given = (getattr(arguments, name, None) for name in ("json", "markdown", "html"))
    return tuple(Path(file).absolute() for file in given if file not in (None, "-"))


def others_of(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Names and versions that `--with` pins. Raises ConfigError for what pins nothing."""
    from ..stacks.overlay.named import pinned

    texts = (text for group in arguments.others for text in group)
    try:
        return [pinned(text) for text in texts]
    except ConfigError as error:
        raise ConfigError(f"--with {error.problem}", error.fix) from error


def identity(arguments: argparse.Namespace, command: str) -> list[object]:
    """What tells this command's runs from another's, for `workspace`."""
    return [command, arguments.package, arguments.others, arguments.pytest_arguments]


def asked(arguments: argparse.Namespace, old: str, new: str) -> Asked:
    """How the command was given, so that the next one can be worded."""
    from ..versions.gate import Asked

    options = ["--pre"] if arguments.pre else []
    for group in arguments.others:
        options += ["--with", *group]
    file = getattr(arguments, "json", None)
    behind = tuple(arguments.pytest_arguments)
    given = None if file in (None, "-") else str(file)
    has_page = getattr(arguments, "html", None) is not None
    beside = getattr(arguments, "accepted", None)
    return Asked(
        *(old, new, Path.cwd(), tuple(options), behind, given, has_page),
        package=arguments.package,
        accepted=None if beside is None else str(beside),
    )


def shown(arguments: argparse.Namespace) -> str:
    return shlex.join(arguments.pytest_arguments) or "the whole suite"


@contextmanager
def inner_runs(
    arguments: argparse.Namespace, named: Sequence[object], title: str
) -> Iterator[tuple[Path, Progress, Runner]]:
    """Where inner runs work, who hears of them and who makes them; nothing is left of a stopped
    command. named: what tells these runs from another command's."""
    from ..versions.inner.jobs import runner
    from ..versions.inner.progress import progress
    from ..versions.inner.workspace import workspace

    with (
        ended_by_sigterm(),
        workspace(named, Path.cwd(), kept=arguments.keep) as place,
        progress(title, os.environ) as told,
        runner(arguments.jobs, arguments.executor) as where,
    ):
        yield place, told, where


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """A plain `kill` (or a CI job's cancellation) ends us as Ctrl-C does: with children cleaned."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
