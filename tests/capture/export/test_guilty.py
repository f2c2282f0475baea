"""The search for nodes that are computed otherwise, on graphs that are made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from pytest_keras_golden.capture.export.guilty import Search

CHAIN = {0: [], **{node: [node - 1] for node in range(1, 20)}}
DIAMOND = {0: [], 1: [0], 2: [0], 3: [1, 2], 4: [3]}


def drifting(
    parents: Mapping[int, Sequence[int]], own: Mapping[int, float], limit: float = 1.0
) -> Callable[[int, frozenset[int]], bool]:
    """Every node adds its own error to those of what it reads."""

    def error(node: int, given: frozenset[int]) -> float:
        return own.get(node, 0.0) + sum(
            error(parent, given) for parent in parents[node] if parent not in given
        )

    return lambda node, given: error(node, given) > limit


@pytest.mark.parametrize("node", [0, 7, 19])
def test_one_guilty_node_of_a_chain_is_found_by_halves(node: int) -> None:
    search = Search(CHAIN, drifting(CHAIN, {node: 5.0}))
    found = search.run([19])
    assert found.guilty == (node,)
    assert found.complete
    assert not found.steps
    assert len(search._measured) <= 9


def test_all_guilty_nodes_are_found_and_no_other() -> None:
    found = Search(CHAIN, drifting(CHAIN, {3: 5.0, 4: 2.0, 15: 5.0})).run([19])
    assert sorted(found.guilty) == [3, 4, 15]


def test_a_branch_is_followed_to_the_node_that_errs() -> None:
    found = Search(DIAMOND, drifting(DIAMOND, {2: 5.0})).run([4])
    assert found.guilty == (2,)


def test_rounding_that_adds_up_blames_nobody() -> None:
    own = dict.fromkeys(CHAIN, 0.3)
    found = Search(CHAIN, drifting(CHAIN, own)).run([19])
    assert not found.guilty
    assert found.steps
    assert found.complete


def test_outputs_that_agree_need_one_measurement_each() -> None:
    search = Search(DIAMOND, drifting(DIAMOND, {}))
    assert search.run([4, 1]).guilty == ()
    assert len(search._measured) == 2


def test_what_cannot_be_measured_is_no_all_clear() -> None:
    found = Search(CHAIN, lambda node, given: None).run([19])
    assert not found.complete
    assert found.unmeasured == (19,)


def test_a_node_that_cannot_be_measured_does_not_hide_the_guilty_one() -> None:
    drift = drifting(CHAIN, {12: 5.0})
    found = Search(CHAIN, lambda node, given: None if node == 9 else drift(node, given)).run([19])
    assert found.guilty == (12,)


def test_the_number_of_measurements_is_bounded() -> None:
    own = dict.fromkeys(CHAIN, 5.0)
    search = Search(CHAIN, drifting(CHAIN, own), most=10)
    found = search.run([19])
    assert not found.complete
    assert len(search._measured) < 20
