"""`keras-golden prune`: goldens that nothing needs, told first and removed only with --yes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..config import parse_size
from ..errors import ConfigError
from ..io.strict import cut
from ..names import golden_folder
from ..outcomes import RunLog
from ..report.logs import read_log
from ..report.output import add_json, emit_plain
from ..report.wording import plural
from .examples import examples
from .place import add_goldens_dir, goldens_dir
from .selection import add_patterns, bytes_text, chosen, name_of

if TYPE_CHECKING:
    from ..store.inventory import GoldenFile


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "prune",
        help="list goldens that nothing needs; --yes removes them",
        description="Goldens that are superseded by newer versions, belong to no test of a whole "
        "run, or are too large. Without --yes nothing is removed.",
        **examples(
            "prune --keep 2",
            "prune --unused-by log.json --yes",
        ),
    )
    add_patterns(parser)
    parser.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="superseded: all but the newest N versions per test, backend, device and policy",
    )
    parser.add_argument(
        "--unused-by",
        nargs="+",
        type=Path,
        default=[],
        metavar="LOG",
        help="of tests that are in none of these logs (--golden-log of runs of the whole suite)",
    )
    parser.add_argument("--oversized", metavar="SIZE", help="larger than this, such as 5MiB")
    parser.add_argument("--yes", action="store_true", help="remove them")
    add_goldens_dir(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    _require_a_rule(arguments)
    root = goldens_dir(arguments.goldens_dir)
    doomed = condemned(root, arguments)
    goldens = [
        {"path": name_of(golden), "bytes": golden.size, "because": why}
        for golden, why in doomed.items()
    ]
    said = text(doomed, arguments.yes)
    if arguments.yes:
        _remove(doomed, root)
    emit_plain(arguments.json, {"removed": arguments.yes, "goldens": goldens}, lambda: said)
    return 0


def _require_a_rule(arguments: argparse.Namespace) -> None:
    if arguments.keep is None and not arguments.unused_by and arguments.oversized is None:
        raise ConfigError(
            "prune needs to be told what to look for",
            "Pass --keep=N, --unused-by LOG…, --oversized=SIZE, or several of them.",
        )
    if arguments.keep is not None and arguments.keep < 1:
        raise ConfigError(
            f"--keep {arguments.keep} would remove every golden", "Pass --keep=1 or more."
        )


def condemned(root: Path, arguments: argparse.Namespace) -> dict[GoldenFile, str]:
    """Golden → why, in the order of their paths."""
    from ..store.inventory import list_goldens, oversized, superseded

    reasons: dict[GoldenFile, str] = {}
    if arguments.oversized is not None:
        limit = parse_size(arguments.oversized, "--oversized")
        reasons |= dict.fromkeys(oversized(root, limit), "oversized")
    if arguments.keep is not None:
        reasons |= dict.fromkeys(superseded(root, arguments.keep), "superseded")
    every = chosen(list_goldens(root), arguments.patterns, root)
    if arguments.unused_by:
        used = used_folders(arguments.unused_by)
        reasons |= {golden: "unused" for golden in every if golden.folder not in used}
    return {golden: reasons[golden] for golden in every if golden in reasons}


def used_folders(logs: Iterable[Path]) -> set[PurePosixPath]:
    """Folders of all tests in the logs. Raises ConfigError where a log cannot tell.

    A run of a part of the suite, or of no golden test, would condemn goldens in use.
    """
    used: set[PurePosixPath] = set()
    for path in logs:
        log = read_log(path)
        problem = _partial(log) if log.tests else "no golden test ran"
        if problem:
            raise ConfigError(
                f"{path} does not say which goldens are unused: {problem}",
                "Run the whole suite, to its end: pytest --golden-log=FILE",
            )
        used |= {golden_folder(test.nodeid) for test in log.tests}
    return used


def _partial(log: RunLog) -> str | None:
    if log.collection_errors:
        return f"it has collection errors ({cut(log.collection_errors[0])})"
    if log.left_out is None:
        return "it does not tell whether the whole suite ran"
    return f"it is of a part of the suite ({cut(log.left_out[0])})" if log.left_out else None


def _remove(goldens: Iterable[GoldenFile], root: Path) -> None:
    from ..store.files import remove

    for golden in goldens:
        remove(golden.path, root)


def text(reasons: dict[GoldenFile, str], removed: bool) -> str:
    lines = [
        f"{why:<10}  {name_of(golden)}  {bytes_text(golden.size)}"
        for golden, why in reasons.items()
    ]
    total = (
        f"{plural(len(reasons), 'golden')}, {bytes_text(sum(golden.size for golden in reasons))}"
    )
    if not reasons:
        return "nothing to remove"
    return "\n".join([*lines, f"removed {total}" if removed else f"{total}; --yes removes them"])
