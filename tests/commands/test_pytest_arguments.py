"""pytest's arguments, with and without `--` before them."""

from __future__ import annotations

import argparse

import pytest

from pytest_keras_golden.cli import _parser
from pytest_keras_golden.commands.arguments import parsed, split_pytest_arguments


def given(*argv: str) -> argparse.Namespace:
    return parsed(_parser(), *split_pytest_arguments(argv))


@pytest.mark.parametrize(
    ("argv", "taken"),
    [
        (("gate", "3.5.0", "3.6.0"), []),
        (("gate", "3.5.0", "3.6.0", "--", "tests/", "-k", "x"), ["tests/", "-k", "x"]),
        (("gate", "3.5.0", "3.6.0", "tests/"), ["tests/"]),
        (("gate", "3.5.0", "3.6.0", "a.py::test_b[1 x]", "c.py", "--jobs", "1"),
         ["a.py::test_b[1 x]", "c.py"]),
        (("bisect", "3.5.0", "3.6.0", "tests/"), ["tests/"]),
    ],
)  # fmt: skip
def test_paths_are_taken_with_and_without_dashes(argv: tuple[str, ...], taken: list[str]) -> None:
    assert given(*argv).pytest_arguments == taken


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("gate", "3.5.0", "3.6.0", "tests/", "-k", "a b"),
         "-k is no argument of gate. What pytest is to take: "
         "keras-golden gate 3.5.0 3.6.0 -- tests/ -k 'a b'"),
        (("gate", "3.5.0", "3.6.0", "-x", "--json", "g.json"),
         "keras-golden gate 3.5.0 3.6.0 --json g.json -- -x"),
        (("gate", "3.5.0", "3.6.0", "tests/", "--", "-x"), "unrecognized arguments: tests/"),
        (("show", "a", "b", "c"), "unrecognized arguments: b c"),
        (("show", "a", "--jsno", "b"), "unrecognized arguments: --jsno b. Did you mean '--json'?"),
        (("gate", "3.5.0", "3.6.0", "--jbs=3"),
         "--jbs=3 is no argument of gate. Did you mean '--jobs'? What pytest is to take: "),
        (("lsit",), "'lsit' is none. Did you mean 'list'? Choose one of: show, diff, list, "),
        (("zzz",), "'zzz' is none. Choose one of: show, diff, list, "),
    ],
)  # fmt: skip
def test_anything_else_is_answered_with_what_to_type(
    argv: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        given(*argv)
    assert ended.value.code == 2
    assert line in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "argv",
    [
        ("show", "a", "--json="),
        ("show", ""),
        ("verify", ""),
        ("list", "--goldens-dir", " "),
        ("prune", "--keep=1", "--goldens-dir="),
        ("accept", "log.json", "--tests="),
        ("gate", "", "3.6.0"),
        ("gate", "3.5.0", "3.6.0", "--keep="),
    ],
)
def test_nothing_is_no_value(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """It would be the working directory, or whatever has any name."""
    with pytest.raises(SystemExit) as ended:
        given(*argv)
    assert ended.value.code == 2
    assert "empty: give it a value" in " ".join(capsys.readouterr().err.split())


def test_an_error_fits_the_terminal_but_for_what_is_to_be_pasted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for argv in (("lsit",), ("show", "golden.safetensors", *(["more.safetensors"] * 5))):
        with pytest.raises(SystemExit):
            given(*argv)
        assert max(map(len, capsys.readouterr().err.splitlines())) <= 80
    with pytest.raises(SystemExit):
        given("gate", "3.5.0", "3.6.0", "-k", "a name that is long enough to need another line")
    assert "-- -k 'a name that is long enough to need another line'" in capsys.readouterr().err
