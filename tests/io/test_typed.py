"""JSON of strangers: read into its type, or one bounded sentence that names the field."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_keras_golden.io.strict import FieldError, cut, parse_object, shown
from pytest_keras_golden.io.typed import reader


@dataclass(frozen=True)
class Leaf:
    name: str
    size: int = 0
    share: float | None = None
    kind: Literal["a", "b"] = "a"
    place: int | tuple[int, ...] = 0


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[str, bool] = ("", False)
    named: Mapping[str, Leaf] = field(default_factory=dict)
    small: Annotated[int, lambda value: None if value < 10 else "too large"] = 0
    rest: Any = None


def read(document: Any) -> Tree:
    found: Tree = reader(Tree)(document)
    return found


def test_a_document_becomes_its_values() -> None:
    leaf = {"name": "x", "size": 3, "share": 1, "kind": "b", "place": [1, 2], "later": {}}
    found = read(
        {"leaves": [leaf, {"name": "y", "share": "-inf"}], "pair": ["p", True], "rest": [1]}
    )
    assert found.leaves[0] == Leaf("x", 3, 1.0, "b", (1, 2))
    assert type(found.leaves[0].share) is float
    assert found.leaves[1].share == float("-inf")
    assert (found.pair, found.rest, found.small) == (("p", True), [1], 0)


def problem(reading: Callable[[Any], Any], value: Any) -> str | None:
    try:
        reading(value)
    except FieldError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "is []: expected an object"),
        ({}, "has no 'leaves'"),
        ({"leaves": {}}, "leaves is {}: expected a list"),
        ({"leaves": [{"name": "x"}, 5]}, "leaves[1] is 5: expected an object"),
        ({"leaves": [{"name": "x"}, {}]}, "leaves[1] has no 'name'"),
        ({"leaves": [{"name": 5}]}, "leaves[0].name is 5: expected a text"),
        ({"leaves": [{"name": "x", "size": True}]}, "leaves[0].size is True: expected an integer"),
        ({"leaves": [{"name": "x", "size": 1.0}]}, "leaves[0].size is 1.0: expected an integer"),
        ({"leaves": [{"name": "x", "size": 2**128}]}, "expected an integer"),
        ({"leaves": [{"name": "x", "share": "5"}]}, "share is '5': expected a number"),
        ({"leaves": [{"name": "x", "share": 10**400}]}, "expected a number"),
        ({"leaves": [{"name": "x", "kind": []}]}, "kind is []: expected one of a, b"),
        ({"leaves": [{"name": "x", "kind": True}]}, "kind is True: expected one of a, b"),
        ({"leaves": [{"name": "x", "place": ["y"]}]}, "leaves[0].place[0] is 'y'"),
        ({"leaves": [], "pair": ["x"]}, "pair is ['x']: expected a list of 2"),
        ({"leaves": [], "pair": ["x", 1]}, "pair[1] is 1: expected true or false"),
        ({"leaves": [], "named": {"a b": {}}}, "named['a b'] has no 'name'"),
        ({"leaves": [], "small": 11}, "small is 11: too large"),
        ({"leaves": [], "rest": json.loads("[" * 50 + "]" * 50)}, "rest is nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: Any, said: str) -> None:
    with pytest.raises(FieldError) as caught:
        read(document)
    assert said in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name"]), inner),
    max_leaves=20,
)
leaves = st.fixed_dictionaries({"name": anything}, optional={"size": anything, "place": anything})
documents = anything | st.fixed_dictionaries(
    {"leaves": anything | st.lists(leaves)}, optional={"named": anything, "rest": anything}
)


@given(documents)
@example({"leaves": [{"name": "x" * 10**6, "kind": "\ud800" * 10**6}]})
@example({"leaves": [], "named": {"\x1b" * 10**6: 1}})
@example({"leaves": [], "named": {"a": {"name": {"b" * 10**6: ["c" * 10**6] * 99}}}})
def test_anything_is_a_value_or_one_sentence(document: Any) -> None:
    said = problem(read, document)
    assert said is None or (0 < len(said) <= 300 and said.isprintable())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[1]", "is no JSON object, but [1]"),
        (b"\xff", "is no JSON"),
        ("{}".encode("utf-16"), "is no JSON"),
        ('{"a": NaN}', "contains NaN, which is no JSON"),
        ('{"a": -Infinity}', "contains -Infinity"),
        ('{"a": 1e999}', "contains '1e999', which is beyond any number"),
        ('{"a": ' + "9" * 400 + ".0}", "which is beyond any number"),
        ('{"a": ' + "9" * 5000 + "}", "is no JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "repeats a key: 'a'"),
        ('{"x": {"\\u001b": 1, "\\u001b": 3}}', "repeats a key: '\\x1b'"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
    ],
)
def test_json_is_parsed_strictly(text: str | bytes, said: str) -> None:
    with pytest.raises(FieldError) as caught:
        parse_object(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_many_keys_take_no_time() -> None:
    keys = ",".join(f'"{number}": 0' for number in range(300_000))
    began = time.process_time()
    assert problem(parse_object, f'{{{keys}, "299999": 1}}') == "repeats a key: '299999'"
    assert time.process_time() - began < 5


@given(st.dictionaries(st.text("abc"), anything))
def test_what_python_writes_is_read_again(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    if problem(parse_object, text) is None:
        assert json.dumps(parse_object(text)) == text
    else:
        with pytest.raises(ValueError, match="JSON compliant"):
            json.dumps(document, allow_nan=False)


@given(st.text(max_size=900), st.integers(8, 300))
def test_cut_text_keeps_both_ends(text: str, longest: int) -> None:
    short = cut(text, longest)
    assert len(short) <= longest
    assert (short == text) == (len(text) <= longest)
    assert text.startswith(short.partition("…")[0][:5])


@given(anything)
@example("x" * 10**7)
@example([["x" * 10**6] * 10] * 10)
@example(10**4000)
def test_values_are_shown_in_few_printable_characters(value: Any) -> None:
    assert len(shown(value)) < 700
    assert shown(value).isprintable()
