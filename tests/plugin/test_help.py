"""What pytest says of itself with the plugin installed."""

from __future__ import annotations

import pytest

from pytest_keras_golden.config import OPTIONS


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--help", "--golden-auto"), ("--version",), ("-VV",), ("--markers",),
     ("--fixtures",), ("--cache-show",)],
)  # fmt: skip
def test_what_runs_no_test_works(suite: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    suite.makepyfile("def test_a(): pass")
    assert suite.runpytest_inprocess(*arguments).ret == 0


def test_help_has_every_option_but_the_hidden(suite: pytest.Pytester) -> None:
    text = suite.runpytest_inprocess("--help").stdout.str()
    assert "SUPPRESS" not in text
    for option in OPTIONS:
        if option.flag:
            assert (option.flag in text) is not option.hidden, option.flag
        if option.ini:
            assert f"  {option.ini} (" in text
