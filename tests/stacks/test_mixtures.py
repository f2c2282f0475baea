"""Mixtures of two sides: what is taken, and what metadata tie together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.chosen import Stack, choose, completed, parts
from pytest_keras_golden.stacks.grammar import parse_side
from pytest_keras_golden.stacks.mixtures import mixture, needs


def both(old: str, new: str) -> list[Stack]:
    return completed([choose(parse_side(text), "keras", None) for text in (old, new)])


def test_what_is_taken_is_as_on_the_new_side() -> None:
    old, new = both("six==1.0,attrs==1.0,jit=on", "six==1.1,attrs==1.1,jit=off,threads=1")
    found = parts(mixture(old, new, {"six", "threads"}), [old, new])
    assert found == {"six": "1.1", "attrs": "1.0", "jit": "on", "threads": "1"}
    assert parts(mixture(old, new, {"jit"}), [old, new])["jit"] == "off"
    nothing, everything = (mixture(old, new, names) for names in ((), parts(new, [new])))
    assert (dict(nothing.packages), dict(nothing.switches)) == (old.packages, old.switches)
    assert (dict(everything.packages), dict(everything.switches)) == (new.packages, new.switches)


def test_another_environment_cannot_be_mixed() -> None:
    old, new = both("six==1.0", "six==1.1")
    elsewhere = replace(new, environment=replace(new.environment, python=Path("/other/python")))
    with pytest.raises(StackError, match="two environments"):
        mixture(old, elsewhere, {"six"})


@pytest.mark.parametrize(
    ("asked", "tied"),
    [
        # As jax asks for jaxlib: neither is to be had with the other's other version.
        ({"1.0": "low<=1.0,>=1.0", "1.1": "low<=1.1,>=1.1"}, {"high": {"low"}, "low": {"high"}}),
        # As keras-hub asks for keras: the new one needs the new one.
        ({"1.0": "low>=1.0", "1.1": "low>=1.1"}, {"high": {"low"}, "low": set()}),
        # The old one breaks with the new.
        ({"1.0": "low<1.1", "1.1": "low"}, {"high": set(), "low": {"high"}}),
        ({"1.0": "low", "1.1": "low>=1.0"}, {"high": set(), "low": set()}),
        ({"1.0": "low", "1.1": 'low==7; extra == "more"'}, {"high": set(), "low": set()}),
        ({"1.0": "low", "1.1": 'low==7; sys_platform == "none"'}, {"high": set(), "low": set()}),
    ],
)
def test_packages_are_tied_by_what_they_ask_for(
    offer: Callable[..., Path], asked: dict[str, str], tied: dict[str, set[str]]
) -> None:
    for version, text in asked.items():
        offer("kg-high", version, [text.replace("low", "kg-low")])
        offer("kg-low", version)
    old, new = both("kg-high==1.0,kg-low==1.0", "kg-high==1.1,kg-low==1.1")
    expected = {f"kg-{name}": {f"kg-{n}" for n in names} for name, names in tied.items()}
    assert needs(old, new) == expected


def test_extras_that_one_package_asks_of_another_tie_a_third(offer: Callable[..., Path]) -> None:
    """As torch asks for cuda-toolkit[cudart], and that for nvidia-cuda-runtime."""
    for version in ("1.0", "1.1"):
        offer("kg-high", version, [f"kg-middle[more]=={version}"])
        offer("kg-middle", version, [f'kg-low=={version}; extra == "more"'])
        offer("kg-low", version)
    names = ("kg-high", "kg-middle", "kg-low")
    sides = (",".join(f"{name}=={version}" for name in names) for version in ("1.0", "1.1"))
    found = needs(*both(*sides))
    assert found["kg-middle"] == {"kg-high", "kg-low"}
