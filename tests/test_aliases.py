"""Aliases of structural names: applied, and found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.aliases import canonical, suggested

PARTS = st.sampled_from(["a", "b", "block_0", "block_1", "block_10", "stage_0", "dense#1", "x[0]"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


def test_an_alias_renames_whole_paths_and_keeps_what_a_star_stands_for() -> None:
    aliases = [("blocks/*/att/*", "layers/*/attention/*")]
    assert canonical("blocks/3/att/q", aliases) == "layers/3/attention/q"
    assert canonical("other", aliases) == "other"
    assert canonical("head", [("head", "lm_head")]) == "lm_head"


def test_the_first_that_fits_is_taken_and_its_name_is_final() -> None:
    aliases = [("a", "b"), ("b", "a"), ("*", "c")]
    assert [canonical(path, aliases) for path in ("a", "b", "d")] == ["b", "a", "c"]


def test_one_line_for_all_numbers_of_a_name() -> None:
    renamed = {
        f"stage_{i}{below}": f"block_{i}{below}" for i in range(12) for below in ("", "/dense")
    }
    assert suggested(renamed, ["head"]) == [("stage_*", "block_*")]


def test_one_line_for_everything_below_a_layer() -> None:
    renamed = {"encoder/q": "body/q", "encoder/k/deep": "body/k/deep"}
    assert suggested(renamed, ["q", "head"]) == [("encoder/*", "body/*")]


def test_a_layer_alone_is_named_in_full() -> None:
    assert suggested({"a_2": "b_2"}, ["a_20", "a_3"]) == [("a_2", "b_2")]


def test_no_glob_that_would_catch_another_layer() -> None:
    renamed = {"stage_0": "block_0", "stage_1": "block_1"}
    assert suggested(renamed, ["stage_2"]) == [("stage_0", "block_0"), ("stage_1", "block_1")]


@given(st.dictionaries(PATHS, PATHS), st.lists(PATHS))
def test_suggested_aliases_do_what_they_say_and_no_more(
    renamed: dict[str, str], others: list[str]
) -> None:
    others = [path for path in others if path not in renamed]
    aliases = suggested(renamed, others)
    for path in others:
        assert canonical(path, aliases) == path
    for path, golden in renamed.items():
        assert canonical(path, aliases) in (golden, path)
        if "[" not in path:
            assert canonical(path, aliases) == golden
