from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.versions.search.halves import Answer, first_bad


@given(st.integers(2, 400), st.data())
def test_the_first_bad_is_found_within_log2_n(length: int, choose: st.DataObject) -> None:
    culprit = choose.draw(st.integers(1, length - 1))
    line = list(range(length))
    found = first_bad(line, lambda item: "bad" if item >= culprit else "good")
    assert (found.first_bad, found.last_good, found.between) == (culprit, culprit - 1, ())
    assert found.probes <= math.ceil(math.log2(length))


@given(st.integers(2, 60), st.data())
def test_with_untestable_ones_the_truth_is_never_left_out(
    length: int, choose: st.DataObject
) -> None:
    culprit = choose.draw(st.integers(1, length - 1))
    broken = choose.draw(st.sets(st.integers(1, max(1, length - 2))))
    asked = []

    def probe(item: int) -> Answer:
        asked.append(item)
        if item in broken:
            return "skip"
        return "bad" if item >= culprit else "good"

    found = first_bad(list(range(length)), probe)
    assert culprit in (*found.between, found.first_bad)
    assert len(asked) == len(set(asked)) == found.probes
    assert set(found.between) <= broken
    assert set(found.skipped) == broken & set(asked)


def test_the_ends_are_not_probed_again() -> None:
    asked: list[str] = []

    def probe(item: str) -> Answer:
        asked.append(item)
        return "good"

    assert first_bad(["a", "b"], probe).first_bad == "b"
    assert asked == []


@pytest.mark.parametrize("broken", [{1}, {2}, {3}, {1, 2, 3}])
def test_skips_are_named(broken: set[int]) -> None:
    found = first_bad([0, 1, 2, 3, 4], lambda i: "skip" if i in broken else "bad")
    assert set(found.skipped) <= broken
    assert found.last_good == 0
