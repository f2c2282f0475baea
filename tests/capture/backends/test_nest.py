"""One walk over containers: reading leaves and exchanging them agree, whatever holds them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.capture.backends.nest import exchanged, flatten, leaves
from pytest_keras_golden.capture.replay.isolate import replaced

Pair = namedtuple("Pair", "left right")


@dataclass
class Output:
    logits: Any
    cache: Any = None


@dataclass(frozen=True)
class Frozen:
    first: Any
    second: Any


class Ids(list):
    """As frameworks make lists of their own."""


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text("abc", min_size=1, max_size=2)
    pairs = st.dictionaries(keys, inner, max_size=3)
    few = st.lists(inner, max_size=3)
    return st.one_of(
        few,
        few.map(tuple),
        few.map(Ids),
        pairs,
        pairs.map(OrderedDict),
        pairs.map(lambda found: defaultdict(list, found)),
        pairs.map(MappingProxyType),
        st.builds(Pair, inner, inner),
        st.builds(Output, inner, inner),
        st.builds(Frozen, inner, inner),
    )


leaf = st.one_of(st.none(), st.integers(0, 99), st.text("xy", max_size=2), st.floats(0, 1))
nests = st.recursive(leaf, containers, max_leaves=12)


def test_leaves_are_named_by_their_place() -> None:
    nest = {"a": [1.0, (2.0, None)], "b": Pair(3.0, Output(4.0))}
    assert flatten(nest) == [
        ("[a][0]", 1.0),
        ("[a][1][0]", 2.0),
        ("[b][left]", 3.0),
        ("[b][right][logits]", 4.0),
    ]
    assert flatten(5) == [("", 5)]
    assert flatten(None) == flatten([]) == flatten({"a": ()}) == []


@given(nests)
def test_exchanging_and_reading_agree(nest: Any) -> None:
    seen = []

    def doubled(value: Any) -> Any:
        seen.append(value)
        return ("new", value)

    def read(value: Any) -> Any:
        # A pair that an exchange made is a container itself.
        return [(path.removesuffix("[0]"), old) for path, old in flatten(value) if old != "new"]

    fresh = exchanged(nest, doubled)
    assert seen == list(leaves(nest))
    assert [old for _, old in read(fresh)] == seen
    assert [path.rpartition("[")[0] for path, _ in read(fresh)] == [
        path for path, _ in flatten(nest)
    ]


@given(nests)
def test_nothing_is_copied_where_nothing_is_exchanged(nest: Any) -> None:
    assert exchanged(nest, lambda value: value) is nest


@given(nests)
def test_containers_keep_their_types_and_their_owner_is_left_alone(nest: Any) -> None:
    before = flatten(nest)
    fresh = exchanged(nest, lambda value: -1)
    assert flatten(nest) == before
    if type(nest) is MappingProxyType:
        assert dict(fresh).keys() == nest.keys()
    elif before or not isinstance(nest, (int, str, float, type(None))):
        assert type(fresh) is (int if before == [("", nest)] else type(nest))


@pytest.mark.parametrize(
    "made",
    [list, tuple, lambda x: Output(x[0], Frozen(x[1], x[2])), lambda x: Pair(x[0], [x[1], x[2]])],
)
def test_the_nth_tensor_that_is_read_is_the_nth_that_is_exchanged(made: Any) -> None:
    arrays = [np.full(1, at) for at in range(3)]
    for at in range(3):
        fresh = replaced(made(["text", *arrays][1:]), {at: np.full(1, 9)})
        values = [int(value[0]) for value in leaves(fresh)]
        assert values == [9 if place == at else place for place in range(3)]


def test_mappings_go_by_key_and_keep_the_order_that_they_have() -> None:
    """torch's trees return them by key, those of other backends as they were made."""
    made, returned = {"sequence": 1.0, "pooled": 2.0}, {"pooled": 2.0, "sequence": 1.0}
    assert flatten(made) == flatten(returned) == [("[pooled]", 2.0), ("[sequence]", 1.0)]
    doubled = exchanged(made, lambda leaf: leaf * 2)
    assert list(doubled.items()) == [("sequence", 2.0), ("pooled", 4.0)]
