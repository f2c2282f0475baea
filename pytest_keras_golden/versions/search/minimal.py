"""Which of many changes do it? Delta debugging over sets that may be taken together.

A line of growing sets, each with one change more, is searched by halves for the first that is bad:
the change that was added is needed. Where it is not bad alone, the changes before it are searched
likewise for what has to come with it. One guilty change among n takes ⌈log2 n⌉ probes and one.
After: Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .halves import Answer, first_bad

Name = TypeVar("Name", bound=str)

MOST_PROBES = 64
"""Where most mixtures cannot be run, the search ends with what it has."""


@dataclass(frozen=True, slots=True)
class Minimal(Generic[Name]):
    """members: a set that is bad, none of which can be left out, as far as mixtures could be run.

    unresolved: the sets that could not be run. rest: what all the other changes are without them;
    None where there are none, or it was not asked.
    """

    members: frozenset[Name]
    probes: int
    unresolved: tuple[frozenset[Name], ...]
    rest: Answer | None = None


@dataclass(slots=True)
class _Asked(Generic[Name]):
    """Answers so far: no set is probed twice. Needs: change → changes it cannot be without."""

    probe: Callable[[frozenset[Name]], Answer]
    needs: Mapping[Name, Set[Name]]
    answers: dict[frozenset[Name], Answer] = field(default_factory=dict)
    probes: int = 0

    def closed(self, names: Iterable[Name]) -> frozenset[Name]:
        """With everything that these cannot be without."""
        found: set[Name] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.needs.get(name, ())
        return frozenset(found)

    def ask(self, names: Iterable[Name]) -> Answer:
        taken = self.closed(names)
        if taken not in self.answers:
            if self.probes >= MOST_PROBES:
                return "skip"
            self.probes += 1
            self.answers[taken] = self.probe(taken)
        return self.answers[taken]


def minimal_set(
    changes: Sequence[Name],
    needs: Mapping[Name, Set[Name]],
    probe: Callable[[frozenset[Name]], Answer],
    suspects: Sequence[Name] = (),
) -> Minimal[Name]:
    """The smallest set of `changes` that is bad by itself; all of them are, and none is good.

    needs: change → changes without which it cannot be had. suspects: tried first, alone.
    """
    asked = _Asked(probe, needs)
    asked.answers |= {frozenset(): "good", asked.closed(changes): "bad"}
    line = ordered(changes, needs, suspects)
    needed: frozenset[Name] = frozenset()
    if suspects and len(line) > 1 and asked.ask(suspects[:1]) == "bad":
        line = [name for name in line if name in asked.closed(suspects[:1])]
    while asked.ask(needed) != "bad":
        low, high = _boundary(line, needed, asked)
        needed |= asked.closed(line[low:high])
        line = line[:low]
        if not line and asked.answers.get(asked.closed(needed)) != "bad":
            break
    members = _reduced(asked.closed(needed), asked)
    unresolved = [names for names, answer in asked.answers.items() if answer == "skip"]
    others = frozenset(changes) - members
    rest = asked.ask(others) if others and asked.closed(others).isdisjoint(members) else None
    return Minimal(members, asked.probes, tuple(unresolved), rest)


def _boundary(
    line: Sequence[Name], needed: frozenset[Name], asked: _Asked[Name]
) -> tuple[int, int]:
    """low, high: with the first `low` of the line it is good, with the first `high` bad."""
    ends = list(range(len(line) + 1))
    found = first_bad(ends, lambda end: asked.ask([*needed, *line[:end]]))
    return found.last_good, found.first_bad


def _reduced(members: frozenset[Name], asked: _Asked[Name]) -> frozenset[Name]:
    """Without what can be left out: halves first, then smaller parts (ddmin)."""
    parts = 2
    while len(members) > 1:
        smaller = next(_smaller(members, parts, asked), None)
        if smaller is not None:
            members, parts = smaller, 2
        elif parts >= len(members):
            break
        else:
            parts = min(2 * parts, len(members))
    return members


def _smaller(
    members: frozenset[Name], parts: int, asked: _Asked[Name]
) -> Iterator[frozenset[Name]]:
    names = sorted(members)
    size = -(-len(names) // parts)
    pieces = [names[at : at + size] for at in range(0, len(names), size)]
    complements = [[n for n in names if n not in piece] for piece in pieces]
    for kept in [*pieces, *complements]:
        closed = asked.closed(kept)
        if closed < members and asked.ask(closed) == "bad":
            yield closed


def ordered(
    changes: Sequence[Name], needs: Mapping[Name, Set[Name]], first: Sequence[Name] = ()
) -> list[Name]:
    """Each change behind those that it needs, so that every beginning can be taken alone."""
    found: dict[Name, None] = {}

    def take(name: Name, above: frozenset[Name]) -> None:
        if name in found or name in above:
            return
        for other in sorted(needs.get(name, ())):
            take(other, above | {name})
        found[name] = None

    for name in [*(n for n in first if n in changes), *changes]:
        take(name, frozenset())
    return list(found)
