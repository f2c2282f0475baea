"""Layers that are gone, new, or the same under another name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.aliases import canonical
from pytest_keras_golden.compare.renaming import Seen, names
from pytest_keras_golden.outcomes import Names

Side = tuple[Mapping[str, str], list[Seen]]


def side(layers: Iterable[tuple[str, str]], width: int = 4, moved: str = "") -> Side:
    """Of (name, what its kernel is): the weights, and an output that depends on them."""
    weights = {f"{name}/kernel": content for name, content in layers}
    tensors = [
        Seen(name, "float32", (2, width), f"output of {content}{moved}") for name, content in layers
    ]
    return weights, tensors


def matched(old: Side, new: Side) -> Names:
    found = names(old, new)
    assert found is not None
    return found


def pairs(found: Names) -> dict[str, str]:
    return {pair.run: pair.golden for pair in found.renamed}


def test_nothing_is_said_where_every_name_is_in_its_place() -> None:
    layers = [("a", "1"), ("b", "2")]
    assert names(side(layers), side(layers)) is None
    assert names(side(layers), side([("a", "1"), ("b", "trained on")])) is None
    assert names(side(layers), side(layers, moved=" elsewhere")) is None


def test_a_renamed_layer_is_known_by_its_weights() -> None:
    found = matched(side([("a", "1"), ("b", "2")]), side([("c", "1"), ("b", "2")]))
    assert (pairs(found), found.gone, found.new) == ({"c": "a"}, (), ())
    assert found.renamed[0].by == "digest"
    assert found.aliases == (("c", "a"),)


def test_a_renamed_layer_with_other_weights_is_known_by_its_form_and_place() -> None:
    found = matched(side([("a", "1"), ("b", "2")]), side([("c", "drawn"), ("b", "anew")]))
    assert pairs(found) == {"c": "a"}
    assert found.renamed[0].by == "place"


def test_layers_of_one_content_keep_their_names_before_others_get_one() -> None:
    old = side([("a", "zeros"), ("b", "zeros")])
    assert names(old, side([("b", "zeros"), ("a", "zeros")])) is None
    assert pairs(matched(old, side([("c", "zeros"), ("a", "zeros")]))) == {"c": "b"}


def test_a_name_that_another_layer_has_left_is_free() -> None:
    found = matched(side([("a", "1"), ("b", "2")]), side([("b", "drawn"), ("c", "2")]))
    assert pairs(found) == {"c": "b", "b": "a"}
    assert (found.gone, found.new) == ((), ())


def test_a_layer_that_is_only_gone_or_only_new_is_said() -> None:
    one, two = side([("a", "1")]), side([("a", "1"), ("b", "2")], width=5)
    two[1][:1] = one[1]
    assert matched(two, one) == Names(gone=("b",))
    assert matched(one, two) == Names(new=("b",))


def test_no_alias_catches_a_layer_that_kept_its_name() -> None:
    def blocks(*names: str) -> Side:
        return side([(name, name[-1]) for name in names])

    found = matched(blocks("x_0", "x_1", "y_2"), blocks("y_0", "y_1", "y_2"))
    assert found.aliases == (("y_0", "x_0"), ("y_1", "x_1"))


def test_another_width_is_another_layer() -> None:
    found = matched(side([("a", "1")]), side([("c", "2")], width=5))
    assert (found.renamed, found.gone, found.new, found.aliases) == ((), ("a",), ("c",), ())


def test_a_layer_of_another_width_in_its_place_is_still_that_layer() -> None:
    assert names(side([("a", "1")]), side([("a", "2")], width=5)) is None


def test_counted_names_that_shift_are_known_by_form_where_weights_are_new() -> None:
    def counted(*widths: int) -> Side:
        weights = {f"dense#{at}/kernel": f"new {widths}" for at in range(len(widths))}
        shapes = enumerate(widths)
        return weights, [Seen(f"dense#{at}", "float32", (2, wide), "") for at, wide in shapes]

    found = matched(counted(5, 6), counted(5, 7, 6))
    assert (pairs(found), found.gone, found.new) == ({"dense#2": "dense#1"}, (), ("dense#1",))


def test_a_layer_more_shifts_the_counted_names_behind_it() -> None:
    old = side([("dense#0", "1"), ("dense#1", "2")])
    found = matched(old, side([("dense#0", "1"), ("dense#1", "added"), ("dense#2", "2")]))
    assert (pairs(found), found.gone, found.new) == ({"dense#2": "dense#1"}, (), ("dense#1",))
    assert canonical("dense#2", found.aliases) == "dense#1"
    assert canonical("dense#1", found.aliases) not in ("dense#0", "dense#1")


def test_a_layer_less_shifts_the_counted_names_behind_it() -> None:
    old = side([("dense#0", "1"), ("dense#1", "2"), ("dense#2", "3")])
    found = matched(old, side([("dense#0", "1"), ("dense#1", "3")]))
    assert (pairs(found), found.gone, found.new) == ({"dense#1": "dense#2"}, ("dense#1",), ())


def test_what_changed_places_is_said_and_never_aliased() -> None:
    """Reordered, or two kernels of one shape loaded the other way round: names cannot tell."""
    found = matched(side([("a", "1"), ("b", "2")]), side([("a", "2"), ("b", "1")]))
    assert {(pair.run, pair.golden) for pair in found.moved} == {("a", "b"), ("b", "a")}
    assert (found.renamed, found.aliases) == ((), ())


@pytest.mark.parametrize(("old", "new"), [("core", "kern"), ("a", "b"), ("a/X", "b/X")])
def test_layers_without_weights_are_known_by_what_they_returned(old: str, new: str) -> None:
    def layer(name: str) -> Side:
        queries = [(f"{name}:query", (2, 3), "q"), (f"{name}@1:query", (1,), "r")]
        return {}, [Seen(called, "float32", shape, key) for called, shape, key in queries]

    assert pairs(matched(layer(old), layer(new))) == {new: old}


def test_the_model_itself_has_no_other_name() -> None:
    assert names(({}, [Seen("<model>", "float32", (1,), "x")]), ({}, [])) is None
    assert names(({"kernel": "1"}, []), ({}, [])) is None


NAMES = st.lists(st.text("abcd_0#/", min_size=1, max_size=4), unique=True, min_size=1, max_size=6)


@given(NAMES, NAMES)
def test_aliases_lead_every_renamed_layer_back(before: list[str], now: list[str]) -> None:
    count = min(len(before), len(now))
    old, new = (
        ({f"{name}/kernel": str(at) for at, name in enumerate(found[:count])}, [])
        for found in (before, now)
    )
    found = names(old, new)
    if found is None:
        return
    for pair in found.renamed:
        assert canonical(pair.run, found.aliases) == pair.golden
        assert before.index(pair.golden) == now.index(pair.run)
    assert not {pair.run for pair in found.renamed} & {pair.run for pair in found.moved}
