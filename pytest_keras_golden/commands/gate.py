"""`keras-golden gate A B [-- pytest arguments]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GoldenError
from ..io.atomic import append_whole, write_whole
from ..report.escape import prose, visible
from ..report.output import emit, note, write_json, writing_to
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
from .blame import blamed
from .examples import examples
from .place import accepted_file
from .sides import as_written, differ, drawing_alike, side_of, stacks_of

if TYPE_CHECKING:
    from ..versions.gate import GateResult, GateVerdict
    from ..versions.matrix import MatrixResult

EXIT_CODES: dict[GateVerdict, int] = {"holds": 0, "drift": 1, "nothing compared": 2}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "gate",
        help="may this bump go in? compare a suite under two versions",
        description="Run a test suite under A and under B, compare every tensor that its Keras "
        "models produce, repeat what differs on both sides, and say which tests moved, which "
        "layers did it and why. The suite needs no goldens, no marker and no edit. Weights and "
        "inputs of A are carried over to B. "
        "Exit code 0: holds; 1: drift, or tests that break under B only; 2: no measure.",
        **examples(
            "gate 3.14.1 latest -- tests/",
            "gate main:uv.lock uv.lock --html gate.html -- tests/ -k model",
        ),
    )
    parser.add_argument("old", metavar="A", help="the side now in use")
    parser.add_argument("new", metavar="B", help="the side to judge")
    add_shared(parser, jobs=default_jobs(2))
    add_pages(parser)
    parser.add_argument(
        "--no-culprit",
        action="store_true",
        help="do not look for the changes to blame where there are several",
    )
    parser.add_argument(
        "--repo",
        type=Path,
        metavar="CLONE",
        help="a git clone of the package to blame: look for the commit as well",
    )
    parser.add_argument(
        "--accepted",
        type=Path,
        metavar="FILE",
        help="drift that may pass, instead of golden_accepted.toml beside the goldens",
    )
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    result = judged(arguments)
    return EXIT_CODES["holds" if result is None else result.verdict]


def judged(
    arguments: argparse.Namespace, while_there: Callable[[GateResult], None] | None = None
) -> GateResult | None:
    """Run, print, and write what was asked for; None where both sides come to the same.

    while_there: called with the result while the goldens and candidates that it names are there.
    Raises GoldenError where there is no measure; what is known is written all the same.
    """
    from ..stacks.installing import fingerprint
    from ..versions.accepted import load
    from ..versions.gate import gate, unmeasured
    from ..versions.pages import gate_html, gate_page

    demand_usable(arguments)
    accepted_in = accepted_file(arguments.accepted)
    accepted = load(accepted_in)
    # It decides what is said of numbers, not what they are: runs that are kept stay good.
    suite = suite_of(arguments)
    suite = replace(suite, left_out=(*suite.left_out, accepted_in))
    with told_if_unmeasured(
        arguments,
        lambda why: unmeasured(
            as_written(arguments, arguments.old), as_written(arguments, arguments.new), why
        ),
        gate_page,
        gate_html,
    ):
        stacks = stacks_of(arguments, [arguments.old, arguments.new])
        sides = [side_of(arguments, stack, stacks) for stack in stacks] if differ(stacks) else []
    if not sides:
        _unchanged(arguments)
        return None
    old, new = sides
    suite = drawing_alike(suite, stacks)
    # Not the new side: the old one's recording serves whatever comes after it.
    named = [*identity(arguments, "gate"), fingerprint(stacks[0])]
    with inner_runs(arguments, named, f"gate {old.label} → {new.short}") as (place, told, where):
        with told_if_unmeasured(
            arguments, lambda why: unmeasured(old, new, why), gate_page, gate_html
        ):
            result = gate(old, new, suite, place, where, told, accepted)
        if result.verdict == "drift" and not arguments.no_culprit:
            culprit = blamed(arguments, stacks, result, suite, place, where, told)
            result = replace(result, culprit=culprit)
        result = replace(result, asked=asked(arguments, arguments.old, arguments.new))
        # Its pictures are drawn from goldens and candidates, which go with the folder.
        html = gate_html.page(result) if arguments.html is not None else None
        if while_there is not None:
            while_there(result)
    tell(arguments, result, gate_page, html)
    return result


def _unchanged(arguments: argparse.Namespace) -> None:
    """Two locks that pin the same for this platform: there is nothing that could move."""
    said = f"{arguments.old} → {arguments.new}: nothing differs on this platform; nothing was run."
    document = {"schema": 1, "verdict": "holds", "changes": [], "culprit": None, "tests": []}
    emit(arguments.json, document, lambda: visible(said))
    if arguments.markdown is not None:
        _append(arguments.markdown, f"### ✅ {prose(said)}\n")
    if arguments.html is not None:
        from ..versions.pages.gate_html import nothing_differs

        _write(arguments.html, nothing_differs(said))


def tell(
    arguments: argparse.Namespace,
    result: GateResult | MatrixResult,
    page: Any,
    html: str | None,
) -> None:
    """Print, and write what was asked for. page: the module that words the result. html: the same
    as a page, where one was asked for."""
    emit(arguments.json, result.to_json(), lambda: page.terminal(result))
    _write_texts(arguments, result, page, html)


@contextmanager
def told_if_unmeasured(
    arguments: argparse.Namespace,
    known: Callable[[GoldenError], GateResult | MatrixResult],
    page: Any,
    html_page: Any,
) -> Iterator[None]:
    """Inside, an error that leaves nothing to compare is told in the files that were asked for as
    well. known: what is, where it stops. html_page: the module that has the result as a page."""
    try:
        yield
    except GoldenError as error:
        result = known(error)
        if arguments.json is not None:
            write_json(arguments.json, result.to_json())
        html = html_page.page(result) if arguments.html is not None else None
        _write_texts(arguments, result, page, html)
        raise


def _write_texts(
    arguments: argparse.Namespace,
    result: GateResult | MatrixResult,
    page: Any,
    html: str | None,
) -> None:
    if arguments.markdown is not None:
        _append(arguments.markdown, page.markdown(result))
    if html is not None:
        _write(arguments.html, html)


def _append(path: Path, text: str) -> None:
    """Add to a file: a CI's job summary may hold other steps' text already."""
    with writing_to("--markdown=FILE"):
        append_whole(path, text + "\n")


def _write(path: Path, text: str) -> None:
    with writing_to("--html=FILE"):
        write_whole(path, text)
    note(f"wrote {path}")
