"""What to run next after a golden test failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..outcomes import TestOutcome
from .attribution import hardware_changes, may_differ_from_itself
from .escape import passed, quoted, word
from .layernames import alias_lines
from .summary import verdict_of


def next_steps(outcome: TestOutcome) -> list[tuple[str, str]]:
    """Pairs (why, command): what a reader of a failure may run now, the likeliest first."""
    verdict = verdict_of(outcome)
    renaming = _renaming_steps(outcome)
    if verdict in _SETTLE:
        steps = [*renaming, *_SETTLE[verdict](outcome)]
        return steps if verdict in _NO_CHANGE else [*steps, accept_step(outcome)]
    steps = [*renaming, *_itself_step(outcome), accept_step(outcome), *_versions_steps(outcome)]
    if outcome.candidate and outcome.golden:
        command = f"keras-golden diff {quoted(outcome.golden)} {quoted(outcome.candidate)}"
        steps.append(("see every tensor", command))
    return steps


def accept_step(outcome: TestOutcome) -> tuple[str, str]:
    running = outcome.stack.get("keras")
    other = running and running != outcome.baseline
    reason = f"Keras {running}: why this is right" if other else "why this is right"
    given = f"--golden-reason={quoted(reason)}"
    return "accept the change", pytest_command(outcome, "--update-goldens", given)


def pytest_command(outcome: TestOutcome, *more: str) -> str:
    """What runs this test again, and finds its golden."""
    return " ".join(["pytest", *map(passed, outcome.options), _typed(outcome), *more])


def _typed(outcome: TestOutcome) -> str:
    return quoted(outcome.typed or outcome.nodeid)


def _itself_step(outcome: TestOutcome) -> list[tuple[str, str]]:
    """Of a test that moved though no part of the stack did."""
    if not may_differ_from_itself(outcome):
        return []
    once = [option for option in outcome.options if not option.startswith("--goldens-dir=")]
    again = replace(outcome, options=(*once, "--goldens-dir=once"))
    return [
        (
            "see whether it differs from itself, recorded and compared in a folder of its own",
            f"{pytest_command(again, '--update-goldens')}\n{pytest_command(again)}",
        )
    ]


def _versions_steps(outcome: TestOutcome) -> list[tuple[str, str]]:
    old, new = outcome.baseline, outcome.stack.get("keras")
    if old is None or new is None or old == new:
        return []
    test = f"{word(str(old))} {word(str(new))} -- {_typed(outcome)}"
    steps = [("find the release that did it", f"keras-golden bisect {test}")]
    alone = hardware_changes(outcome) or str(outcome.isolation).startswith("unavailable")
    if alone or set(outcome.stack_changes) - {"keras"}:
        steps.insert(0, ("measure Keras alone, here", f"keras-golden gate {test}"))
    return steps


def _renaming_steps(outcome: TestOutcome) -> list[tuple[str, str]]:
    pasted = alias_lines(outcome)
    if not pasted:
        return []
    return [("compare renamed layers under the golden's names, in pytest.ini", pasted)]


def _settle_unstable(outcome: TestOutcome) -> list[tuple[str, str]]:
    command = pytest_command(outcome, "--update-goldens", "--golden-noise=5")
    return [("record its noise floor", command)]


def _settle_vacuous(outcome: TestOutcome) -> list[tuple[str, str]]:
    places = "tolerance=… of check() or capture(), tolerances= of the marker, or golden_tolerances"
    record = pytest_command(outcome, "--update-goldens")
    return [("tighten the tolerance", places), ("then record it", record)]


def _settle_incomparable(outcome: TestOutcome) -> list[tuple[str, str]]:
    """A gate carries the old side's draws over: between two releases, never within one."""
    old, new = outcome.baseline, outcome.stack.get("keras")
    if old is None or new is None or old == new:
        return []
    command = f"keras-golden gate {word(old)} {word(str(new))} -- {_typed(outcome)}"
    return [("compare with the old side's random draws put in", command)]


def _settle_loading(outcome: TestOutcome) -> list[tuple[str, str]]:
    again = "save the file again under the release that wrote it, or tell Keras' developers"
    return [("a file is no golden to accept", again)]


_SETTLE: Mapping[str, Callable[[TestOutcome], list[tuple[str, str]]]] = {
    "unstable": _settle_unstable,
    "vacuous": _settle_vacuous,
    "incomparable": _settle_incomparable,
    "loading": _settle_loading,
}

_NO_CHANGE = frozenset({"loading", "vacuous"})
"""Where there is nothing to accept: recording would fail as it did."""
