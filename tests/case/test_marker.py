"""The marker's arguments: PEP 440, OR-ed, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_keras_golden.case.marker import parse
from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.records import Tolerance


@pytest.mark.parametrize(
    ("specs", "version", "admitted"),
    [
        ((), "3.0.5", True),
        (("3.5.0",), "3.5.0", True),
        (("3.5.0",), "3.5.1", False),
        (("3.5",), "3.5.0", True),
        ((">=3.5,<3.7",), "3.6.0", True),
        ((">=3.5,<3.7",), "3.7.0", False),
        (("3.3.3", ">=3.6"), "3.3.3", True),
        (("3.3.3", ">=3.6"), "3.5.0", False),
        ((">=3.5",), "3.9.0.dev1", True),
        (("~=3.14.0",), "3.14.2", True),
    ],
)
def test_admits(specs: tuple[str, ...], version: str, admitted: bool) -> None:
    assert parse(specs, {}).admits(version) is admitted


def test_exact_versions_are_kept_apart() -> None:
    assert parse(("3.5.0", ">=3.6", "3.7.0"), {}).exact == ("3.5.0", "3.7.0")


@pytest.mark.parametrize("spec", ["three", ">>3", 3.5, None])
def test_invalid_specifiers(spec: Any) -> None:
    with pytest.raises(ConfigError, match="no version specifier"):
        parse((spec,), {})


@pytest.mark.parametrize(
    "kwargs", [{"baseline": "old"}, {"since": "3.5"}, {"tolerances": {"bfloat16": {"k": -1}}}]
)
def test_invalid_keywords(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse((), kwargs)


def test_the_nearest_keyword_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'tolerances'"):
        parse((), {"tolerance": "k=5"})


def test_tolerances_for_all_or_by_pattern() -> None:
    (rule,) = parse((), {"tolerances": {"k": 7}}).tolerances
    assert (rule.pattern, rule.tolerance) == ("*", Tolerance(k=7.0))
    rules = parse((), {"tolerances": {"bfloat16": "k=3", "logits": {"rtol": 0.1}}}).tolerances
    assert [rule.pattern for rule in rules] == ["bfloat16", "logits"]
