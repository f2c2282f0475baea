"""Every command's help ends in examples that the command itself understands."""

from __future__ import annotations

import shlex

import pytest

from pytest_keras_golden import cli
from pytest_keras_golden.commands.arguments import parsed, split_pytest_arguments

NAMES = [module.__name__.rpartition(".")[2].replace("_", "-") for module in cli.COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    _, _, text = capsys.readouterr().out.partition("\nexamples:\n")
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.strip().partition(" > ")[0] for line in text.splitlines()]
    assert len(lines) >= 2
    for line in lines:
        program, *argv = shlex.split(line)
        assert (program, argv[0]) == ("keras-golden", name)
        parsed(cli._parser(), *split_pytest_arguments(argv))
