"""`keras-golden accept LOG`: take the candidate goldens that a run left, for chosen tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, CorruptGoldenError
from ..names import Slot, golden_folder
from ..outcomes import TestOutcome
from ..report.logs import read_log
from ..report.output import add_json, emit_plain, note, tracked
from ..report.wording import plural
from .examples import examples
from .place import add_goldens_dir, goldens_dir

if TYPE_CHECKING:
    from ..store.codec import Golden


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a run would have recorded for a test, and where it would go."""

    outcome: TestOutcome
    path: Path
    target: Path


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "accept",
        help="take the candidate goldens of a run, for chosen tests",
        description="Take the candidate goldens that a run left (pytest --golden-log=LOG "
        "--golden-output=DIR), for the tests chosen by --tests, --all or, on a terminal, one by "
        "one. Goldens of other versions stay as they are.",
        **examples(
            "accept log.json --tests 'test_gpt.py::*' --reason 'new kernel'",
            "accept log.json --all --candidates candidates/",
        ),
    )
    parser.add_argument("log", type=Path, metavar="LOG")
    parser.add_argument("--tests", nargs="+", metavar="GLOB", help="node ids to accept")
    parser.add_argument("--all", action="store_true", help="accept every candidate")
    parser.add_argument("--reason", metavar="TEXT", help="why: stored, shown by show and diff")
    parser.add_argument(
        "--candidates",
        type=Path,
        metavar="DIR",
        help="where the candidates are now (a downloaded artifact), if not where the log says",
    )
    add_goldens_dir(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    root = goldens_dir(arguments.goldens_dir)
    tests = read_log(arguments.log).tests
    every = [
        candidate(test, root, arguments.candidates) for test in tests if test.candidate is not None
    ]
    if not every and any(test.outcome in ("failed", "error") for test in tests):
        raise ConfigError(
            f"{arguments.log} has failed tests and names no candidate golden",
            "Let the run keep them: pytest --golden-log=LOG --golden-output=DIR",
        )
    chosen = list(_choice(every, arguments))
    _require_whole(chosen)
    accepted = [
        {"test": item.outcome.nodeid, "golden": str(item.target), "written": written}
        for item, written in _accepted(chosen, root, arguments.reason)
    ]
    emit_plain(
        arguments.json, {"accepted": accepted, "candidates": len(every)}, lambda: _text(accepted)
    )
    return 0


def candidate(test: TestOutcome, root: Path, folder: Path | None) -> Candidate:
    """Raises ConfigError where the log's file name is no golden's."""
    told = Path(str(test.candidate).replace("\\", "/"))
    if Slot.parse(told.name) is None:
        raise ConfigError(f"{told.name!r} is no golden's file name", "Use the log of a real run.")
    place = golden_folder(test.nodeid)
    path = told if folder is None else folder / place / told.name
    return Candidate(test, path, root / place / told.name)


def _choice(every: Sequence[Candidate], arguments: argparse.Namespace) -> Iterable[Candidate]:
    if arguments.all:
        return every
    if arguments.tests:
        return _globbed(every, arguments.tests)
    if sys.stdin.isatty() and sys.stderr.isatty():
        return _asked(every, input)
    raise ConfigError(
        "accept needs to be told which tests", "Pass --tests GLOB…, or --all, or use a terminal."
    )


def _globbed(every: Sequence[Candidate], patterns: Sequence[str]) -> list[Candidate]:
    """Those whose node id is one of the patterns, or is matched by it. Raises ConfigError."""
    candidates: list[Candidate] = []
    for pattern in patterns:
        matching = [
            item
            for item in every
            if item.outcome.nodeid == pattern or fnmatchcase(item.outcome.nodeid, pattern)
        ]
        if not matching:
            ids = "".join(f"\n  {item.outcome.nodeid}" for item in every[:20]) or " none"
            raise ConfigError(
                f"no candidate matches {pattern!r}", f"The log has candidates for:{ids}"
            )
        candidates += [item for item in matching if item not in candidates]
    return candidates


def _asked(every: Sequence[Candidate], ask: Callable[[str], str]) -> Iterable[Candidate]:
    from ..report.terminal import comparison_page

    for item in every:
        note(comparison_page(item.outcome))
        answer = ""
        while answer not in {"y", "n", "q"}:
            answer = ask("accept? [y]es, [n]o, [q]uit: ").strip().lower()[:1]
        if answer == "q":
            return
        if answer == "y":
            yield item


def _require_whole(chosen: Sequence[Candidate]) -> None:
    """All or nothing: a candidate that is missing or bad stops before anything is written."""
    from ..store.files import verify_file

    for item in tracked(chosen, "checking candidates"):
        problems = verify_file(item.path)
        if problems:
            raise CorruptGoldenError(
                f"{item.path}: {problems[0]}",
                "Name the folder of the run's --golden-output: --candidates DIR",
                item.path,
            )


def _accepted(
    chosen: Sequence[Candidate], root: Path, reason: str | None
) -> Iterable[tuple[Candidate, bool]]:
    from ..store.codec import Golden
    from ..store.encoding import encode_again
    from ..store.files import put

    with TemporaryDirectory() as locks:
        for item in tracked(chosen, "accepting"):
            with Golden.open(item.path) as golden:
                again = encode_again(golden, reason, _detected(golden))
                yield item, put(item.target, again, Path(locks), root)


def _detected(golden: Golden) -> dict[str, float | None]:
    """Which drift the tolerances detect: a run does not work it out for what it only keeps."""
    from ..compare.vacuity import detects

    return {
        entry.name: detects(golden.array(entry.name), entry.tolerance, entry.precision, entry.noise)
        for entry in golden.header.tensors
        if entry.detects is None and entry.tolerance is not None
    }


def _text(accepted: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{'accepted' if item['written'] else 'unchanged'}  {item['test']}\n  {item['golden']}"
        for item in accepted
    ]
    return "\n".join([*lines, f"{plural(len(accepted), 'golden')} accepted"])
