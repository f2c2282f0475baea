"""What became of the names of layers, as lines of a report and as `golden_aliases` to paste."""

from __future__ import annotations

from collections.abc import Iterable

from ..outcomes import Renamed, TestOutcome
from .escape import named, one_line
from .wording import listed, plural

SHOWN = 8
"""Renamed layers told one by one."""

_WITNESS = {"digest": "the same bit for bit", "place": "by shape and order"}


def name_lines(outcome: TestOutcome) -> list[str]:
    """A line per layer that goes by another name, and one each for what moved, went and came."""
    names = outcome.names
    if names is None:
        return []
    told = [f"{_pair(pair)}, {_WITNESS[pair.by]}" for pair in names.renamed[:SHOWN]]
    rest = len(names.renamed) - SHOWN
    told += [f"and {plural(rest, 'more renamed layer')}"] if rest > 0 else []
    told += [f"swapped: {_pair(pair)}" for pair in names.moved[:SHOWN]]
    return told + _counted("gone", names.gone) + _counted("new", names.new)


def alias_lines(outcome: TestOutcome) -> str:
    """`golden_aliases` as pytest.ini takes it; empty where no alias would help."""
    names = outcome.names
    if names is None or not names.aliases:
        return ""
    lines = (f"    {one_line(run)} -> {one_line(golden)}" for run, golden in names.aliases)
    return "\n".join(["golden_aliases =", *lines])


def _pair(pair: Renamed) -> str:
    return f"{named(pair.run)} is what the golden calls {named(pair.golden)}"


def _counted(what: str, names: Iterable[str]) -> list[str]:
    every = list(names)
    return [f"{what}: {listed(every, SHOWN)}"] if every else []
