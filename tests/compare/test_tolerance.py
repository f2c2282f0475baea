"""Tolerances as users write them, and which one holds."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.records import Tolerance, ToleranceRule
from pytest_keras_golden.tolerance import (
    DTYPES,
    EXACT_DTYPES,
    default,
    parse,
    parse_marker,
    parse_rules,
    resolve,
)


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("k=5", Tolerance(k=5.0)),
        ({"k": 0}, Tolerance(k=0.0)),
        ("rtol=1e-3 atol=1e-5", Tolerance(rtol=1e-3, atol=1e-5)),
        ("rtol=1e-3,atol=1e-5", Tolerance(rtol=1e-3, atol=1e-5)),
        ("atol=2", Tolerance(rtol=0.0, atol=2.0)),
        (Tolerance(k=3.0), Tolerance(k=3.0)),
    ],
)
def test_what_users_write(text: Any, tolerance: Tolerance) -> None:
    assert parse(text) == tolerance


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "k=-1",
        "k=nan",
        "k=inf",
        "k=five",
        "k=5 rtol=1",
        "k=5 k=6",
        "ulp=3",
        {},
        {"k": True},
        {"k": None},
        5,
        ["k=5"],
        Tolerance(k=float("nan")),
        Tolerance(),
    ],
)
def test_nonsense_is_refused_with_examples(text: Any) -> None:
    with pytest.raises(ConfigError, match="Examples:"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (5, "not a tolerance: 5"),
        ("k=5 6", "not a tolerance: 'k=5 6'"),
        ("ulp=3", "tolerance 'ulp=3': expected k, or rtol and atol"),
        ("k=5 rtol=1", "tolerance 'k=5 rtol=1' mixes k with rtol/atol: choose one"),
        ("atol=a=b", "tolerance atol='a=b': expected a non-negative finite number"),
    ],
)
def test_what_was_written_is_said(text: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ({"rtoll": 3}, "Did you mean 'rtol'? "),
        ({"rtoll": "x", "atol": 1}, "Did you mean 'rtol'? "),
        ("attol=1", "Did you mean 'atol'? "),
        ("exat", "Did you mean 'rtol=0 atol=0'? "),
        ("exact", "Did you mean 'rtol=0 atol=0'? "),
        ("much", "Examples: "),
        ({"ulp": 3}, "Examples: "),
    ],
)
def test_the_nearest_word_is_named(text: Any, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.fix.startswith(hint)


def test_rules_are_lines_with_comments() -> None:
    rules = parse_rules(["bfloat16: k=5", "# none", "", "blocks/0/*: rtol=0.1  # loose"])
    assert [rule.pattern for rule in rules] == ["bfloat16", "blocks/0/*"]
    assert rules[1].tolerance == Tolerance(rtol=0.1, atol=0.0)
    (rule,) = parse_rules(["a:query: k=1 # one # two"])
    assert rule == ToleranceRule("a:query", Tolerance(k=1.0))
    for line in ("k=5", ": k=5"):
        with pytest.raises(ConfigError, match=r"dtype-or-glob.*\nExamples:"):
            parse_rules([line])


def test_the_most_specific_wins() -> None:
    ini = parse_rules(["*: k=1", "log*: k=2", "bfloat16: k=3", "logits: k=4"])
    marker = parse_marker({"logits": "k=6", "float32": "k=7"})
    assert resolve("logits", "bfloat16", argument=Tolerance(k=9), marker=marker).k == 9
    assert resolve("logits", "bfloat16", marker=marker, ini=ini).k == 6
    assert resolve("other", "float32", marker=marker, ini=ini).k == 7
    assert resolve("logits", "bfloat16", ini=ini).k == 4
    assert resolve("other", "bfloat16", ini=ini).k == 1
    assert resolve("x", "bfloat16", ini=parse_rules(["bfloat16: k=3"])).k == 3
    assert resolve("x", "bfloat16") == default("bfloat16") == Tolerance(k=5.0)
    assert resolve("x", "float32") == default("float32") == Tolerance(k=64.0)


def test_one_tolerance_for_all_of_a_marker() -> None:
    for value in ("k=2", {"k": 2}, Tolerance(k=2.0)):
        assert resolve("any", "float32", marker=parse_marker(value)).k == 2
    (rule,) = parse_marker({"rtol": 0.1, "atol": 0.2})
    assert rule == ToleranceRule("*", Tolerance(rtol=0.1, atol=0.2))
    with pytest.raises(ConfigError, match="mixes k"):
        parse_marker({"k": 1, "rtol": 0.1, "atol": 0.2})
    for wrong in ({"rtoll": 3}, {"k": 1, "rtoll": 3}, 3, ["k=2"]):
        with pytest.raises(ConfigError, match="rtol" if isinstance(wrong, dict) else "not a tol"):
            parse_marker(wrong)
    assert parse_marker(None) == ()


def test_every_dtype_has_a_default() -> None:
    for name in DTYPES:
        found = default(name)
        assert (found == Tolerance(rtol=0.0, atol=0.0)) == (name in EXACT_DTYPES)
