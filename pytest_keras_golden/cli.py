"""`keras-golden`: parse, dispatch, exit code. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from .commands import (
    accept,
    accept_drift,
    bisect,
    ci,
    diff,
    gate,
    git_setup,
    matrix,
    overlays,
    prune,
    report,
    show,
    stats,
    verify,
)
from .commands import list as list_goldens
from .commands.arguments import Parser, parsed, split_pytest_arguments
from .errors import GoldenError
from .io.strict import cut
from .report.output import flush, note, prepare_streams

HOLDS, DRIFT, USAGE, INTERRUPTED = 0, 1, 2, 130

COMMANDS = (
    *(show, diff, list_goldens, stats, prune, verify, accept, report),
    *(gate, ci, accept_drift, matrix, bisect, overlays, git_setup),
)
"""In the order of `--help`."""

TRACEBACK = "KERAS_GOLDEN_TRACEBACK"
"""Environment variable: set, the traceback of an unexpected error is printed."""

EXIT_CODES = """exit codes: 0 holds; 1 drift (diff: beyond tolerance, verify: a bad file);
2 usage or environment, nothing compared; 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code.

    Deliberate errors become code 2, and so does any other: whatever goes wrong, it is no verdict.
    """
    prepare_streams()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        note("keras-golden: interrupted")
        return INTERRUPTED
    except GoldenError as error:
        note(f"keras-golden: {error}")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        note(f"keras-golden: {_unexpected(error)}")
    return USAGE


def _run(argv: Sequence[str]) -> int:
    try:
        own, for_pytest = split_pytest_arguments(argv)
        arguments = parsed(_parser(), own, for_pytest)
        return int(arguments.handler(arguments))
    finally:
        flush()


def _unexpected(error: Exception) -> str:
    said = cut(" ".join(str(error).split()))
    return (
        f"unexpected {type(error).__name__}{f': {said}' if said else ''}\n"
        f"Nothing was decided. Report it with what {TRACEBACK}=1 keras-golden … adds to this."
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="keras-golden",
        description="Golden tensors of Keras models: look, compare, keep tidy, gate a bump.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print it and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


class _Version(argparse.Action):
    """Looks the version up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        sys.stdout.write(f"keras-golden {version('pytest-keras-golden')}\n")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
