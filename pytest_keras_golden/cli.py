"""`keras-golden`: parse, dispatch, exit code. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .commands import accept, diff, prune, report, show, stats, verify
from .commands import list as list_goldens
from .errors import GoldenError
from .versions import commands as versions

HOLDS, DRIFT, USAGE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = """exit codes: 0 holds; 1 drift (diff: beyond tolerance, verify: a bad file);
2 usage or environment, nothing compared; 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code; deliberate errors become code 2."""
    own, for_pytest = versions.split_pytest_arguments(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(own)
    arguments.pytest_arguments = for_pytest
    try:
        code = int(arguments.handler(arguments))
        sys.stdout.flush()
        return code
    except GoldenError as error:
        sys.stderr.write(f"keras-golden: {error}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("keras-golden: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; the interpreter's own flush must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return HOLDS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-golden",
        description="Golden tensors of Keras models: look, compare, keep tidy, gate a bump.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print it and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (show, diff, list_goldens, stats, prune, verify, accept, report, versions):
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
