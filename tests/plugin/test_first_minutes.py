"""What somebody sees who tries it for the first time."""

from __future__ import annotations

import io

import pytest
from _pytest._io import TerminalWriter
from outcomes_made import decoder

from pytest_keras_golden.plugin.results import _Page

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest

    @pytest.mark.parametrize("n", [1, 2])
    def test_layer(golden_tensors, n):
        inputs = keras.Input((4,))
        scaled = keras.layers.Rescaling(float(os.environ.get("SCALE", 1)), name="scale")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3, name="head")(scaled))
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model):
            model(np.arange(8, dtype="float32").reshape(2, 4))
"""
CAPTURED = """\
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model):
            model(np.arange(8, dtype="float32").reshape(2, 4))
"""
CALLED = """\
        model(np.arange(8, dtype="float32").reshape(2, 4))
"""
MISTAKES = """
    import keras
    import numpy as np

    def test_twice(golden_tensors):
        golden_tensors.check("a", np.ones(3))
        golden_tensors.check("a", np.ones(3))  # mine

    def test_group(golden_tensors):
        layer = keras.layers.Dense(3)
        with golden_tensors.capture(layer, select="logit"):  # mine
            layer(np.ones((2, 4)))

    def test_tolerance(golden_tensors):
        golden_tensors.check("a", np.ones(3), tolerance={"k": -1})  # mine
"""


def output(suite: pytest.Pytester, *arguments: str) -> list[str]:
    return suite.runpytest_inprocess("-p", "no:randomly", *arguments).outlines


def test_one_line_at_the_end_records_what_has_no_golden(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    update = "--update-goldens --update-goldens-mode=missing"
    command = f"pytest --golden-auto {update}"
    assert f"  {command}" in output(suite, "--golden-auto")
    lines = output(suite)
    at = next(n for n, line in enumerate(lines) if line.startswith("2 tests have no golden here"))
    assert lines[at + 1].strip() == f"pytest {update}"
    assert "2 goldens written" in output(suite, *command.split()[1:])
    assert not any("have no golden" in line for line in output(suite))


@pytest.mark.parametrize(
    "workers", [(), pytest.param(("-n", "1"), marks=pytest.mark.processes)], ids=["here", "xdist"]
)
def test_the_short_summary_says_what_moved_by_how_much_and_whom_it_is_blamed_on(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    suite.makepyfile(SUITE)
    output(suite, "--update-goldens")
    monkeypatch.setenv("SCALE", "1.5")
    monkeypatch.setenv("COLUMNS", "240")
    short = [line for line in output(suite, *workers) if line.startswith("FAILED")]
    assert len(short) == 2
    assert all("DRIFT in scale (" in line and " %)" in line for line in short)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("kind", "columns", "width"),
    [
        *((Screen, 60, 80), (Screen, 80, 80), (Screen, 120, 120), (Screen, 200, 120)),
        (io.StringIO, 80, 100),
    ],
)
def test_a_page_takes_the_width_of_a_terminal(
    kind: type[io.StringIO], columns: int, width: int
) -> None:
    file = kind()
    terminal = TerminalWriter(file)
    terminal.fullwidth = columns
    terminal.hasmarkup = False
    _Page("", decoder(4)).toterminal(terminal)
    said = file.getvalue().partition("\n\n")[0].splitlines()[1:]
    assert width - 20 < max(map(len, said)) <= width


def test_the_page_takes_the_colours_of_the_terminal(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(SUITE)
    output(suite, "--update-goldens")
    monkeypatch.setenv("SCALE", "1.5")
    assert not any("\x1b" in line for line in output(suite))
    coloured = output(suite, "--color=yes")
    assert any(line.startswith("\x1b[31mDRIFT\x1b[0m in scale") for line in coloured)


@pytest.mark.parametrize("test", ["test_twice", "test_group", "test_tolerance"])
def test_a_mistake_ends_at_the_line_that_made_it(suite: pytest.Pytester, test: str) -> None:
    suite.makepyfile(MISTAKES)
    lines = output(suite, "-k", test)
    (marked,) = (line for line in lines if line.startswith(">"))
    assert marked.endswith("# mine")
    assert not any("case/" in line or "contextlib" in line for line in lines)
    if test == "test_group":
        assert any("Did you mean 'logits'?" in line for line in lines)
    everything = output(suite, "-k", test, "--full-trace")
    assert any("case/" in line for line in everything)


def test_tests_that_did_not_ask_say_one_line_each_and_one_command_records_all(
    suite: pytest.Pytester,
) -> None:
    suite.makepyfile(SUITE.replace("golden_tensors, n", "n").replace(CAPTURED, CALLED))
    said = output(suite, "--golden-auto")
    assert sum("--update-goldens" in line for line in said) == 1
    assert sum(line.startswith("no golden to compare with:") for line in said) == 2
    assert any(line.startswith("2 golden tests: 2 failed") for line in said)


def test_a_plain_test_that_fails_is_pytests_news(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_plain():\n    assert 0")
    said = "\n".join(output(suite, "--golden-auto"))
    assert "0 golden tests: none" in said.partition("golden tensors")[2]
    assert "  failed " not in said.partition("golden tensors")[2]
