"""Delta debugging over changes: the right set, in few probes, whatever cannot be run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keras_golden.versions.search.halves import Answer
from pytest_keras_golden.versions.search.minimal import MOST_PROBES, minimal_set, ordered

Probe = Callable[[frozenset[str]], Answer]


def names(count: int) -> list[str]:
    return [f"p{number:02}" for number in range(count)]


def guilty(*members: str, never_run: Callable[[frozenset[str]], bool] = lambda _: False) -> Probe:
    """Bad where all members are taken."""

    def probe(taken: frozenset[str]) -> Answer:
        if never_run(taken):
            return "skip"
        return "bad" if set(members) <= taken else "good"

    return probe


@given(st.data())
def test_a_single_culprit_is_found_in_few_probes(data: st.DataObject) -> None:
    changes = names(data.draw(st.integers(2, 60)))
    culprit = data.draw(st.sampled_from(changes))
    suspects = data.draw(st.lists(st.sampled_from(changes), max_size=2, unique=True))
    found = minimal_set(changes, {}, guilty(culprit), suspects)
    assert found.members == {culprit}
    assert found.probes <= math.ceil(math.log2(len(changes))) + 3
    assert found.rest == "good"


@given(st.data())
def test_a_set_that_acts_only_together_is_found_and_nothing_more(data: st.DataObject) -> None:
    changes = names(data.draw(st.integers(3, 40)))
    culprits = data.draw(st.lists(st.sampled_from(changes), min_size=2, max_size=4, unique=True))
    found = minimal_set(changes, {}, guilty(*culprits))
    assert found.members == set(culprits)
    steps = math.ceil(math.log2(len(changes))) + 2
    assert found.probes <= len(culprits) * steps + 4 * len(culprits) ** 2


@st.composite
def _with_needs(draw: st.DrawFn) -> tuple[list[str], dict[str, set[str]]]:
    changes = names(draw(st.integers(2, 25)))
    pairs = st.tuples(st.sampled_from(changes), st.sampled_from(changes))
    needs: dict[str, set[str]] = {}
    for one, other in draw(st.lists(pairs, max_size=12)):
        if one != other:
            needs.setdefault(one, set()).add(other)
    return changes, needs


def closed(taken: Set[str], needs: Mapping[str, Set[str]]) -> bool:
    return all(set(needs.get(name, ())) <= taken for name in taken)


@given(_with_needs(), st.data())
def test_no_mixture_is_tried_that_metadata_rule_out(
    made: tuple[list[str], dict[str, set[str]]], data: st.DataObject
) -> None:
    changes, needs = made
    culprit = data.draw(st.sampled_from(changes))
    asked: list[frozenset[str]] = []

    def probe(taken: frozenset[str]) -> Answer:
        asked.append(taken)
        return "bad" if culprit in taken else "good"

    found = minimal_set(changes, needs, probe)
    assert culprit in found.members
    assert all(closed(taken, needs) for taken in asked)
    assert len(asked) == len(set(asked)) == found.probes
    # Nothing but what the culprit cannot be without.
    assert found.members <= _without_which(culprit, needs)


def _without_which(name: str, needs: Mapping[str, Set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        found.add(waiting[-1])
        waiting += [other for other in needs.get(waiting.pop(), ()) if other not in found]
    return found


@settings(max_examples=200)
@given(st.data())
def test_what_cannot_be_run_is_no_evidence(data: st.DataObject) -> None:
    """Some changes break whatever has them without another: never said by metadata."""
    changes = names(data.draw(st.integers(2, 24)))
    culprit = data.draw(st.sampled_from(changes))
    breaking = data.draw(st.lists(st.sampled_from(changes), min_size=2, max_size=2, unique=True))

    def breaks(taken: frozenset[str]) -> bool:
        return len(taken & set(breaking)) == 1

    found = minimal_set(changes, {}, guilty(culprit, never_run=breaks))
    assert culprit in found.members
    # What breaks alone can be part of the answer where it is tied to the culprit, or lies beside it
    # in every mixture that runs; nothing that can be run without it may be.
    assert found.members <= {culprit, *breaking}
    assert all(breaks(taken) for taken in found.unresolved)


def test_where_nothing_can_be_run_the_search_ends_with_everything() -> None:
    changes = names(40)
    found = minimal_set(changes, {}, guilty("none", never_run=lambda _: True))
    assert found.members == set(changes)
    assert found.probes <= MOST_PROBES


def test_a_second_culprit_is_told() -> None:
    def either(taken: frozenset[str]) -> Answer:
        return "bad" if taken & {"p03", "p17"} else "good"

    found = minimal_set(names(20), {}, either)
    assert len(found.members) == 1
    assert found.rest == "bad"


def test_a_suspect_is_tried_first() -> None:
    found = minimal_set(names(40), {}, guilty("p30"), ["p30"])
    assert (found.members, found.probes) == ({"p30"}, 2)


def test_what_a_change_needs_comes_before_it() -> None:
    line = ordered(
        ["hub", "keras", "jax", "jaxlib"], {"hub": {"keras"}, "jax": {"jaxlib"}, "jaxlib": {"jax"}}
    )
    assert line.index("keras") < line.index("hub")
    assert set(line) == {"hub", "keras", "jax", "jaxlib"}
