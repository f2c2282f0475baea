"""An option's value that pytest takes for a test path must not decide which ini file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.plugin.rootdir import demand_own_root

FLAGS = ["--goldens-dir", "--golden-log"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With tests in a folder, and goldens beside them and elsewhere."""
    for folder in ("project/tests/deep", "project/goldens", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project" / "pytest.ini").write_text("[pytest]\n")
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--goldens-dir=../elsewhere"], True),
        (["--goldens-dir", "goldens"], True),
        (["--goldens-dir", "not there yet"], True),
        (["--tb", "../elsewhere"], True),
        (["-k", "--goldens-dir"], True),
    ],
)
def test_what_moves_nothing_is_let_through(
    project: Path, arguments: list[str], found: bool
) -> None:
    demand_own_root(arguments, FLAGS, [], project / "pytest.ini" if found else None, project)


@pytest.mark.parametrize(
    ("arguments", "paths", "inipath"),
    [
        (["--goldens-dir", "../elsewhere"], [], None),
        (["--goldens-dir", "../elsewhere"], ["tests"], "../pytest.ini"),
        (["--golden-log", "goldens"], ["tests"], "goldens/pytest.ini"),
        (["--golden-log", "goldens"], ["../elsewhere"], None),
    ],
)
def test_what_may_have_moved_the_root_is_refused_with_the_way_to_write_it(
    project: Path, arguments: list[str], paths: list[str], inipath: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        demand_own_root(
            arguments,
            FLAGS,
            [project / path for path in paths],
            None if inipath is None else project / inipath,
            project,
        )
    assert "=".join(arguments) in str(caught.value)


def test_an_ini_file_nearer_to_the_tests_may_have_been_passed_over(project: Path) -> None:
    (project / "tests" / "tox.ini").touch()
    arguments = (["--goldens-dir", "goldens"], FLAGS, [project / "tests" / "deep"])
    with pytest.raises(ConfigError):
        demand_own_root(*arguments, project / "pytest.ini", project)


SUITE = """
    import keras
    import numpy as np

    def test_layer():
        keras.layers.Rescaling(2.0)(np.ones(3, "float32"))
"""


@pytest.mark.parametrize("where", ["command line", "environment"])
def test_a_run_without_the_suites_ini_file_compares_nothing_and_says_so(
    suite: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "golden files"
    suite.makeini("[pytest]\ngolden_auto = true\n")
    suite.makepyfile(SUITE)
    arguments = [f"--goldens-dir={elsewhere}"]
    assert suite.runpytest_inprocess(*arguments, "--update-goldens").ret == 0
    suite.makepyfile(SUITE.replace("2.0", "3.0"))
    assert suite.runpytest_inprocess(*arguments).ret == pytest.ExitCode.TESTS_FAILED
    if where == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", f"--goldens-dir '{elsewhere}'")
        result = suite.runpytest_inprocess()
    else:
        result = suite.runpytest_inprocess("--goldens-dir", str(elsewhere))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*Write '--goldens-dir={elsewhere}'*"])
