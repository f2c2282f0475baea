"""What to run after a gate or a search, with the arguments that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from ...release import parsed
from ...report.escape import passed, unquoted, visible, word
from ...report.wording import plural
from ...stacks.grammar import respelled
from ..bisect import BisectResult
from ..changes import Change, Culprit
from ..compared.partners import Missing, missing
from ..compared.verdicts import VerdictRow, fails_recorded, is_other, loads_otherwise
from ..gate import Asked, GateResult
from ..matrix import MatrixResult
from ..review import blamed_names, is_only_drawn
from .sections import differs

Step = tuple[str, str]
"""Why, and the command."""

_FILES = ("--html", "gate.html", "--json", "gate.json")

_FEW = 3
"""Tests that are named one by one."""


def after_gate(result: GateResult) -> list[Step]:
    """For a red gate: look, find the release, accept. Empty for any other."""
    if result.verdict != "drift" or result.asked is None:
        return []
    asked = result.asked
    return [*_look(asked), *_search(result, asked), *_accept(result.rows, asked)]


def _look(asked: Asked) -> Iterator[Step]:
    if asked.json is None or not asked.html:
        given = (*_accepted(asked), *_FILES)
        yield "look at every tensor", _command("gate", asked, asked.arguments, given)


def _search(result: GateResult, asked: Asked) -> Iterator[Step]:
    """Only a package that got newer has releases to search, or commits."""
    moved = [_typed(row) for row in result.rows if is_other(row)]
    found = result.culprit
    if found is None and len(result.changes) == 1:
        found = Culprit(result.changes, 1, 0)
    if found is None or found.varied is None or not moved:
        return
    since = found.since
    if since is None:
        tests = _tests(asked, moved)
        yield "find the release that did it", _command("bisect", _between(found, asked), tests)
    elif since.commit is None:
        step = _between(found, asked, since.last_good)
        step = replace(step, new=since.first_bad)
        yield "find the commit", _command("bisect", step, asked.arguments, ("--repo", "CLONE"))


def _between(culprit: Culprit, asked: Asked, good: str | None = None) -> Asked:
    """The search over the culprit's releases, from `good` on; from the old side's own where that is
    None. Everything else is as the old side has it, and other changes of a set as the new has them.
    """
    varied = culprit.varied
    assert varied is not None
    held = [c for c in culprit.changes if c != varied]
    instead = {c.name: None if c.name in culprit.tied else _part(c) for c in held}
    if good not in (None, varied.old):
        instead[varied.name] = good
    old = respelled(asked.old, canonicalize_name(asked.package), instead, varied.name)
    return replace(asked, old=old, new=str(varied.new), package=varied.name)


def _part(change: Change) -> str | None:
    """As a side names what the new side has; None where that has nothing."""
    if change.new is None:
        return None
    if not change.is_package:
        return f"{change.name}={change.new}".replace(",", "\\,")
    return f"{change.name}{'==' if parsed(change.new) else '@'}{change.new}"


def _accept(rows: Iterable[VerdictRow], asked: Asked) -> Iterator[Step]:
    moved = (row for row in rows if row.status == "moved" and not loads_otherwise(row))
    drawn = (row for row in rows if is_only_drawn(row))
    outcomes = (row.outcome for row in (*moved, *drawn) if row.outcome)
    names = dict.fromkeys(name for outcome in outcomes for name in blamed_names(outcome))
    if names:
        layers = (f"--layer {passed(name)}" for name in names)
        file = map(passed, (asked.json or "gate.json", *_accepted(asked)))
        words = ["keras-golden accept-drift", *file, *layers, '--reason "why it is right"']
        yield "let it through, if it is right", " ".join(words)


def _accepted(asked: Asked) -> tuple[str, ...]:
    return () if asked.accepted is None else ("--accepted", asked.accepted)


def unstable_lines(result: GateResult) -> list[str]:
    """What a test that differs from itself means, what makes one, and how to see it."""
    rows = [row for row in result.rows if row.status == "unstable"]
    if not rows:
        return []
    count = f"{plural(len(rows), 'test')} {differs(len(rows))}"
    twice = f"pytest {passed(_typed(rows[0]))} --golden-auto --goldens-dir=twice"
    return [
        f"{count} under {result.old.label}, so nothing is said of {result.new.label}. Usual "
        "causes: the time, a generator without a seed, threads, what an earlier test left behind.",
        f"To see it under one stack: `{unquoted(twice)} --update-goldens`, and then the same "
        "without `--update-goldens`. More: docs/troubleshooting.md.",
    ]


def recorded_lines(result: GateResult) -> list[str]:
    """What a test that fails only where it is recorded means, and how to see why."""
    rows = [row for row in result.rows if fails_recorded(row)]
    if not rows:
        return []
    fails, it_is = ("fails", "it is") if len(rows) == 1 else ("fail", "they are")
    alone = f"pytest {passed(_typed(rows[0]))} --golden-auto -o golden_seed=none"
    return [
        f"{plural(len(rows), 'test')} {fails} under {result.old.label} only where {it_is} "
        "recorded. There, every generator of random numbers is seeded, which a test may not count "
        f"on. To see whether that is why: `{unquoted(alone)}`.",
    ]


def hints(result: GateResult) -> list[str]:
    """What to know, and to type, about tests that say nothing of the bump."""
    return [*unstable_lines(result), *recorded_lines(result), *partner_lines(result)]


def partner_lines(result: GateResult) -> list[str]:
    """What tests fail for that is no fault of the release under test, and what to type instead."""
    return [
        f"{found}. {GOES_WITH}: {_with_partner(result.asked, found, old)}."
        for old in (True, False)
        for found in _missing(result, old)
    ]


GOES_WITH = "Give that side one that goes with it"


def _missing(result: GateResult, old: bool) -> list[Missing]:
    side, status = (result.old, "failing before") if old else (result.new, "broke")
    reasons = (row.reason for row in result.rows if row.status == status)
    return missing(reasons, side.label, {change.name for change in result.changes})


def _with_partner(asked: Asked | None, found: Missing, old: bool) -> str:
    if asked is None:
        return found.pin
    package, pins = canonicalize_name(asked.package), {found.package: found.pin}
    side = respelled(asked.old if old else asked.new, package, pins)
    step = replace(asked, old=side) if old else replace(asked, new=side)
    return f"`{unquoted(_command('gate', step, asked.arguments))}`"


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
    tests = _tests(asked, [_typed(row) for row in result.guilty])
    package = canonicalize_name(asked.package)
    ends = (result.last_good, result.first_bad)
    old, new = (respelled(asked.old, package, {package: end}) for end in ends)
    step = replace(asked, old=old, new=new)
    steps = [("look at that step alone", _command("gate", step, tests, _FILES))]
    if result.commit is None and not result.no_commit:
        clone = ("--repo", "CLONE")
        steps.append(
            (
                "find the commit, in a git clone of the package",
                _command("bisect", step, tests, clone),
            )
        )
    return steps


def after_matrix(result: MatrixResult) -> list[Step]:
    """A gate over the step that is red first, which searches on and says how to accept."""
    pair, asked = result.first_red, result.asked
    if pair is None or asked is None or not result.written.keys() >= set(pair):
        return []
    step = replace(asked, old=result.written[pair[0]], new=result.written[pair[1]])
    command = _command("gate", step, asked.arguments, _FILES)
    return [("look at the first step that is red", command)]


def _typed(row: VerdictRow) -> str:
    """The node id as the command that is read here has to name it."""
    return (row.outcome and row.outcome.typed) or row.nodeid


def _command(name: str, asked: Asked, arguments: Sequence[str], files: Sequence[str] = ()) -> str:
    sides = (word(asked.old), word(asked.new))
    package = () if asked.package == "keras" else ("--package", asked.package)
    own = map(passed, (*package, *asked.options, *files))
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


def markdown(steps: Sequence[Step]) -> list[str]:
    if not steps:
        return []
    told = [line for why, command in steps for line in (f"# {why}", command)]
    return ["#### What to run next", "", "```sh", *map(visible, told), "```", ""]


def lines(steps: Iterable[Step]) -> list[str]:
    """As text: the reason, and below it the command."""
    told = [line for why, command in steps for line in (f"  {why}:", f"    {command}")]
    return ["what to run next:", *told] if told else []
