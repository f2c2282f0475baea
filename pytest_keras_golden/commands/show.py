"""`keras-golden show FILE`: a golden as text, for eyes and as a git textconv."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GoldenError
from ..outcomes import to_json
from ..report.escape import lines
from ..report.output import add_json, emit, say
from .examples import examples

if TYPE_CHECKING:
    from ..store.codec import Golden

SAMPLE = 4
"""Values of each tensor that are shown: enough to see in a diff which way a tensor moved."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "show",
        help="a golden's stack, tensors and digests as text",
        description="A golden's stack, tensors and digests as text. The same golden gives the "
        "same text wherever it lies; docs/git.md has the two lines that let git diff use it.",
        **examples(
            "show goldens/test_a/test/keras-3.15.1-jax-cpu-float32.safetensors",
            "show GOLDEN --json -",
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--textconv",
        action="store_true",
        help="for git: a file that is no golden is said to be so, with exit code 0",
    )
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..report.golden import render
    from ..store.codec import Golden

    try:
        with Golden.open(arguments.file) as golden:
            text = render(golden.header, lambda name: first_values(golden, name))
            emit(arguments.json, to_json(golden.header), lambda: text)
    except GoldenError as error:
        # git gives up on the whole diff where a textconv fails; the other files matter too.
        if not arguments.textconv:
            raise
        said = str(error).replace(str(arguments.file), "this file")
        say(f"no golden: {lines(said)}")
    return 0


def first_values(golden: Golden, name: str) -> Sequence[str]:
    """The first values in C order, to six significant digits."""
    return [f"{value:.6g}" for value in golden.array(name).reshape(-1)[:SAMPLE].tolist()]
