"""The ends of a search, as they are written on the command line."""

from __future__ import annotations

import argparse

import pytest

from pytest_keras_golden.commands.sides import releases_between
from pytest_keras_golden.errors import ConfigError


def test_equal_ends_are_sent_to_no_gate_of_a_release_against_itself() -> None:
    with pytest.raises(ConfigError, match=r"equal: 3\.14\.1") as refused:
        releases_between(argparse.Namespace(), "3.14.1", "3.14.1")
    assert "gate" not in str(refused.value)


def test_ends_the_wrong_way_round_are_sent_to_a_gate() -> None:
    with pytest.raises(ConfigError, match=r"gate 3\.15\.1 3\.14\.1"):
        releases_between(argparse.Namespace(), "3.15.1", "3.14.1")
