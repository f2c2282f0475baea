"""What to run after a gate or a search, with the arguments that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...report.escape import passed, unquoted, word
from ...report.wording import plural
from ..bisect import BisectResult
from ..compared.verdicts import VerdictRow, is_other, loads_otherwise
from ..gate import Asked, GateResult
from ..review import blamed_names, is_only_drawn
from .sections import differs

Step = tuple[str, str]
"""Why, and the command."""

_FEW = 3
"""Tests that are named one by one."""


def after_gate(result: GateResult) -> list[Step]:
    """For a red gate: look, find the release, accept. Empty for any other."""
    if result.verdict != "drift" or result.asked is None:
        return []
    asked = result.asked
    return [*_look(asked), *_search(result, asked), *_accept(result.rows, asked)]


def _look(asked: Asked) -> Iterator[Step]:
    files = ("--html", "gate.html", "--json", "gate.json")
    if asked.json is None or not asked.html:
        yield "look at every tensor", _command("gate", asked, asked.arguments, files)


def _search(result: GateResult, asked: Asked) -> Iterator[Step]:
    """Only a package has releases between two versions."""
    found = result.culprit
    since = None if found is None else found.since
    if since is not None and since.commit is not None:
        return
    if found is not None and found.bisect is not None and (found.among > 1 or since is not None):
        yield ("find the commit" if since else "find the release that did it"), found.bisect
        return
    moved = list(filter(is_other, result.rows))
    if moved and len(result.changes) == 1 and result.changes[0].is_package:
        tests = _tests(asked, [row.nodeid for row in moved])
        yield "find the release that did it", _command("bisect", asked, tests)


def _accept(rows: Iterable[VerdictRow], asked: Asked) -> Iterator[Step]:
    moved = (row for row in rows if row.status == "moved" and not loads_otherwise(row))
    drawn = (row for row in rows if is_only_drawn(row))
    outcomes = (row.outcome for row in (*moved, *drawn) if row.outcome)
    names = dict.fromkeys(name for outcome in outcomes for name in blamed_names(outcome))
    if names:
        layers = " ".join(f"--layer {passed(name)}" for name in names)
        file = passed(asked.json or "gate.json")
        yield (
            "let it through, if it is right",
            f'keras-golden accept-drift {file} {layers} --reason "why it is right"',
        )


def unstable_lines(result: GateResult) -> list[str]:
    """What a test that differs from itself means, what makes one, and how to see it."""
    rows = [row for row in result.rows if row.status == "unstable"]
    if not rows:
        return []
    count = f"{plural(len(rows), 'test')} {differs(len(rows))}"
    twice = f"pytest {passed(rows[0].nodeid)} --golden-auto --goldens-dir twice"
    return [
        f"{count} under {result.old.label}, so nothing is said of {result.new.label}. Usual "
        "causes: the time, a generator without a seed, threads, what an earlier test left behind.",
        f"To see it under one stack: `{unquoted(twice)} --update-goldens`, and then the same "
        "without `--update-goldens`. More: docs/troubleshooting.md.",
    ]


def for_test(result: GateResult, row: VerdictRow) -> Iterator[Step]:
    """For one test that moved: the same gate and the search over it alone, and its acceptance."""
    if row.status != "moved" or result.asked is None:
        return
    alone = replace(result, rows=(row,))
    yield from after_gate(alone)


def after_bisect(result: BisectResult) -> list[Step]:
    """Look at the step that was found; go on to the commit."""
    asked = result.asked
    if asked is None:
        return []
    tests = _tests(asked, [row.nodeid for row in result.guilty])
    step = Asked(result.last_good, result.first_bad, asked.folder, asked.options)
    files = ("--html", "gate.html", "--json", "gate.json")
    steps = [("look at that step alone", _command("gate", step, tests, files))]
    if result.commit is None and not result.no_commit:
        clone = ("--repo", "CLONE")
        steps.append(
            (
                "find the commit, in a git clone of the package",
                _command("bisect", step, tests, clone),
            )
        )
    return steps


def _command(name: str, asked: Asked, arguments: Sequence[str], files: Sequence[str] = ()) -> str:
    sides = (word(asked.old), word(asked.new))
    own = map(passed, (*asked.options, *files))
    behind = ["--", *map(passed, arguments)] if arguments else []
    return " ".join(["keras-golden", name, *sides, *own, *behind])


def _tests(asked: Asked, nodeids: Sequence[str]) -> list[str]:
    """pytest's arguments with the paths among them narrowed to a few tests."""
    files = [nodeid.partition("::")[0] for nodeid in nodeids]
    if len(nodeids) > _FEW or not all((asked.folder / file).is_file() for file in files):
        return list(asked.arguments)
    return [*nodeids, *_without_paths(asked.arguments, asked.folder)]


def _without_paths(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """What follows an option may be its value, whatever lies under that name."""
    before = ""
    for argument in arguments:
        is_value = before.startswith("-") and "=" not in before
        path = folder / argument.partition("::")[0]
        if argument.startswith("-") or is_value or not path.exists():
            yield argument
        before = argument


def lines(steps: Iterable[Step]) -> list[str]:
    """As text: the reason, and below it the command."""
    told = [line for why, command in steps for line in (f"  {why}:", f"    {command}")]
    return ["what to run next:", *told] if told else []
