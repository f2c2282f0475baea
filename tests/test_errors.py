"""What messages are made of: the word that was meant, and what was given instead."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_keras_golden.errors import a_kind, did_you_mean, nearest


def test_the_nearest_word_comes_first() -> None:
    names = ["blocks/0/attention:query", "blocks/1/attention:query", "head"]
    assert nearest("block/0/attention:query", names, 3)[0] == "blocks/0/attention:query"
    assert nearest("zzz", names) == []


@pytest.mark.parametrize(
    ("word", "said"), [("rtoll", "Did you mean 'rtol'? "), ("zzz", ""), (3, ""), ("", "")]
)
def test_nothing_is_suggested_where_nothing_is_alike(word: object, said: str) -> None:
    assert did_you_mean(word, ("k", "rtol", "atol")) == said


def test_what_was_given_has_its_article() -> None:
    given = (3, [], None, np.zeros(2), object())
    assert [a_kind(value) for value in given] == [
        "an int",
        "a list",
        "a NoneType",
        "an ndarray",
        "an object",
    ]
