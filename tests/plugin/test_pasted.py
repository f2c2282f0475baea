"""A command that a run proposes works where it is read: in the folder that pytest started in."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

TESTS = """
    import os
    import keras
    import numpy as np
    import pytest

    SCALE = float(os.environ.get("SCALE", "1"))

    @pytest.mark.parametrize("word", ["plain", "../up", "it's $HOME"])
    def test_layer(word):
        keras.layers.Rescaling(SCALE)(np.ones(3, "float32"))
"""

CASES = [("", "pkg/tests"), ("pkg/tests", "test_it.py"), ("pkg", "tests")]


def proposed(result: pytest.RunResult, end: str) -> list[list[str]]:
    """The arguments of each command that the run proposes and that ends so."""
    lines = (line.strip() for line in result.outlines)
    found = [shlex.split(line) for line in lines if line.startswith("pytest ")]
    return [words[1:] for words in found if words[-1].startswith(end)]


@pytest.fixture
def project(suite: pytest.Pytester) -> Path:
    """In a folder with an ini file of its own, inside of a larger one."""
    folder = suite.path / "pkg" / "tests"
    folder.mkdir(parents=True)
    (suite.path / "pkg" / "pytest.ini").write_text("[pytest]\n")
    suite.makepyfile(**{"pkg/tests/test_it": TESTS})
    return suite.path


@pytest.mark.parametrize(("where", "argument"), CASES)
def test_from_any_folder(
    suite: pytest.Pytester,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    argument: str,
) -> None:
    monkeypatch.chdir(project / where)
    run = suite.runpytest_inprocess
    (record,) = proposed(run("--golden-auto", argument), "--update-goldens-mode")
    run(*record).assert_outcomes(passed=3)
    run("--golden-auto", argument).assert_outcomes(passed=3)
    monkeypatch.setenv("SCALE", "2")
    accept = proposed(run("--golden-auto", argument), "--golden-reason")
    assert len(accept) == 3
    for words in accept:
        run(*words).assert_outcomes(passed=1)
    run("--golden-auto", argument).assert_outcomes(passed=3)
    assert not list(project.glob("goldens*"))


def test_recording_what_is_missing_accepts_no_drift(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(TESTS)
    run = suite.runpytest_inprocess
    assert run("--golden-auto", "--update-goldens", "-k", "plain").ret == 0
    monkeypatch.setenv("SCALE", "2")
    result = run("--golden-auto")
    result.assert_outcomes(failed=3)
    (record,) = proposed(result, "--update-goldens-mode")
    run(*record)
    run("--golden-auto").assert_outcomes(passed=2, failed=1)


def test_with_another_ini_file(suite: pytest.Pytester) -> None:
    suite.makepyfile(TESTS)
    suite.makefile(".ini", **{"other/golden": "[pytest]\ngolden_auto = true\n"})
    run = suite.runpytest_inprocess
    arguments = ("-c", "other/golden.ini", "--rootdir=.", "test_with_another_ini_file.py")
    (record,) = proposed(run(*arguments), "--update-goldens-mode")
    run(*record).assert_outcomes(passed=3)
    run(*arguments).assert_outcomes(passed=3)


def test_the_hint_of_a_seeded_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import keras
        import pytest

        @pytest.mark.parametrize("word", ["it's"])
        def test_layer(word):
            keras.layers.Dense(2)
            assert not word
        """
    )
    result = suite.runpytest_inprocess("--golden-auto")
    (line,) = [line for line in result.outlines if line.startswith("To see whether")]
    words = shlex.split(line.partition(": pytest ")[2])
    again = suite.runpytest_inprocess(*words)
    again.assert_outcomes(failed=1)
    assert not [line for line in again.outlines if line.startswith("To see whether")]
