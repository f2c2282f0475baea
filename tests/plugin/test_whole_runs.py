"""Only the log of a run of the whole suite says which goldens are unused, for `prune` too."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_keras_golden import cli

TESTS = """
    import numpy as np
    import pytest

    @pytest.mark.parametrize("n", range(3))
    def test_case(golden_tensors, n):
        golden_tensors.check("x", np.linspace(n, n + 1, 16, dtype="float32") * {factor})

    @pytest.mark.skip(reason="not here")
    def test_skipped(golden_tensors):
        golden_tensors.check("x", 1.0)

    def test_plain():
        pass
"""
SKIPPING = """
    import pytest

    pytest.skip("not on this machine", allow_module_level=True)
"""
INTERRUPTED = """
    import pytest

    def test_it(): raise KeyboardInterrupt
"""
EXITING = """
    import pytest

    def test_it(): pytest.exit("enough", returncode=0)
"""
DYING = """
    import os

    def test_it(golden_tensors): os._exit(3)
"""
SILENT = """
    def pytest_collection_modifyitems(items):
        items[:] = [item for item in items if "case[1]" not in item.name]
"""
TELLING = """
    def pytest_collection_modifyitems(config, items):
        config.hook.pytest_deselected(items=items[:1])
        del items[:1]
"""
LATE = """
    def pytest_collection_finish(session):
        del session.items[:1]
"""
IGNORING = """
    collect_ignore = ["test_b.py"]
"""
IGNORING_A_FOLDER = """
    collect_ignore_glob = ["*deep"]
"""


@pytest.fixture
def recorded(suite: pytest.Pytester) -> pytest.Pytester:
    """Two files of tests below `tests`, one of them deep, all recorded."""
    for folder in ("tests", "tests/deep"):
        (suite.path / folder).mkdir()
        (suite.path / folder / "__init__.py").touch()
    write(suite, "tests/test_a.py", TESTS.format(factor=1))
    write(suite, "tests/test_b.py", TESTS.format(factor=2))
    write(suite, "tests/deep/test_c.py", TESTS.format(factor=3))
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    return suite


def write(suite: pytest.Pytester, name: str, text: str) -> None:
    (suite.path / name).write_text(dedent(text), encoding="utf-8")


def left_out(suite: pytest.Pytester, *args: str, apart: bool = False) -> list[str]:
    """What the log of a run says that it left out."""
    run = suite.runpytest_subprocess if apart else suite.runpytest_inprocess
    with pytest.MonkeyPatch.context() as patch:
        if apart:
            # Which tests ran does not depend on the backend: the one that starts soonest.
            patch.setenv("KERAS_BACKEND", "numpy")
        run("--golden-log=log.json", "-p", "no:randomly", *args)
    found: list[str] = json.loads((suite.path / "log.json").read_text())["left_out"]
    return found


def pruned(suite: pytest.Pytester, log: Path) -> int:
    """How many goldens `prune` removes by the log; asserts that it says why where it refuses."""
    root = suite.path / "goldens"
    before = len(list(root.rglob("*.safetensors")))
    code = cli.main(["prune", "--unused-by", str(log), "--yes", "--goldens-dir", str(root)])
    after = len(list(root.rglob("*.safetensors")))
    assert code == 0 or (code == 2 and after == before)
    return before - after


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("tests",),
        (".",),
        ("tests/../tests/", "-v", "--ff", "--nf"),
        ("-k", "", "-m", ""),
        ("--maxfail=1",),
        ("-o", "golden_seed=1"),
    ],
)
def test_the_whole_suite_ran(recorded: pytest.Pytester, options: tuple[str, ...]) -> None:
    recorded.makeini("[pytest]\ntestpaths = t*ts\n")
    assert left_out(recorded, *options) == []
    (recorded.path / "tests/test_b.py").unlink()
    assert left_out(recorded, *options) == []
    assert pruned(recorded, recorded.path / "log.json") == 3


def test_failures_and_skips_leave_nothing_out(recorded: pytest.Pytester) -> None:
    write(recorded, "tests/test_a.py", TESTS.format(factor=5))
    assert left_out(recorded) == []
    assert pruned(recorded, recorded.path / "log.json") == 0


@pytest.mark.processes
@pytest.mark.parametrize("spread", [("-n2", "--dist=loadgroup"), ("-n1", "--maxfail=99")])
def test_workers_leave_nothing_out(recorded: pytest.Pytester, spread: tuple[str, ...]) -> None:
    marked = "import pytest\npytestmark = pytest.mark.xdist_group('g')\n"
    path = recorded.path / "tests/test_a.py"
    path.write_text(marked + path.read_text())
    assert left_out(recorded, *spread, apart=True) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-k", "case"), "-k was given (case)"),
        (("-m", "not slow"), "-m was given (not slow)"),
        (("tests/test_a.py",), "tests was asked for"),
        (("tests/test_a.py", "tests/test_b.py"), "tests was asked for"),
        (("tests/deep",), "tests was asked for"),
        (("tests", "tests/test_a.py::test_plain"), "node ids were given"),
        (("tests/test_b.py::test_case[2]",), "node ids were given"),
        (("--deselect=tests/test_a.py",), "--deselect was given"),
        (("--ignore=tests/test_b.py",), "--ignore was given"),
        (("--ignore-glob=*_b.py",), "--ignore-glob was given"),
        (("--lf",), "--lf was given"),
        (("--sw",), "--stepwise was given"),
        (("--sw-skip",), "--stepwise was given"),
        (("--collect-only",), "--collect-only was given"),
        (("--setup-only",), "--setup-only was given"),
        (("--setup-plan",), "--setup-plan was given"),
        (("-o", "python_files=test_a.py"), "python_files was overridden"),
        (("-o", "python_functions=test_plain"), "python_functions was overridden"),
        (("-o", "testpaths=tests/deep"), "testpaths was overridden"),
        (("--pyargs", "tests"), "--pyargs was given"),
        (("--noconftest",), "--noconftest was given"),
    ],
)
def test_options_that_narrow(
    recorded: pytest.Pytester, options: tuple[str, ...], reason: str
) -> None:
    recorded.makeini("[pytest]\ntestpaths = tests\nmarkers = slow\n")
    assert any(reason in said for said in left_out(recorded, *options))
    assert pruned(recorded, recorded.path / "log.json") == 0


@pytest.mark.parametrize("options", [("-x",), ("--maxfail=2",)])
def test_a_run_that_stops_at_a_failure(recorded: pytest.Pytester, options: tuple[str, ...]) -> None:
    write(recorded, "tests/test_a.py", TESTS.format(factor=5))
    (reason,) = (said for said in left_out(recorded, *options) if "not run to the end" in said)
    assert "more" in reason
    assert pruned(recorded, recorded.path / "log.json") == 0


def test_an_option_in_the_ini_file(recorded: pytest.Pytester) -> None:
    recorded.makeini("[pytest]\naddopts = -k 'not deep'\n")
    assert left_out(recorded)[0] == "-k was given (not deep)"


def test_an_option_in_the_environment(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k deep")
    assert left_out(recorded)[0] == "-k was given (deep)"


def test_another_working_directory(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = recorded.path / "log.json"
    monkeypatch.chdir(recorded.path / "tests")
    recorded.runpytest_inprocess(f"--golden-log={log}")
    assert "was asked for" in json.loads(log.read_text())["left_out"][0]
    recorded.runpytest_inprocess(f"--golden-log={log}", str(recorded.path))
    assert json.loads(log.read_text())["left_out"] == []


@pytest.mark.parametrize(
    ("conftest", "reason"),
    [
        (SILENT, "deselected: tests/deep/test_c.py::test_case[1] and 2 more"),
        (TELLING, "deselected: tests/deep/test_c.py::test_case[0]"),
        (LATE, "not run to the end: tests/deep/test_c.py::test_case[0]"),
        (IGNORING, "test_b.py was not collected"),
        (IGNORING_A_FOLDER, "tests/deep was not collected"),
    ],
)
def test_a_conftest_that_takes_tests_out(
    recorded: pytest.Pytester, conftest: str, reason: str
) -> None:
    write(recorded, "tests/conftest.py", conftest)
    assert any(reason in said for said in left_out(recorded))
    assert pruned(recorded, recorded.path / "log.json") == 0


@pytest.mark.processes
def test_workers_tell_what_their_conftest_takes_out(recorded: pytest.Pytester) -> None:
    write(recorded, "tests/conftest.py", SILENT + IGNORING)
    said = left_out(recorded, "-n1", apart=True)
    assert said[0].endswith("test_b.py was not collected")
    assert said[1].startswith("deselected: tests/deep/test_c.py::test_case[1]")
    assert pruned(recorded, recorded.path / "log.json") == 0


def test_a_conftest_that_leaves_other_files_out(recorded: pytest.Pytester) -> None:
    write(recorded, "tests/conftest.py", "collect_ignore = ['setup.py', 'data']")
    (recorded.path / "tests/setup.py").touch()
    (recorded.path / "tests/data").mkdir()
    (recorded.path / "build").mkdir()
    write(recorded, "build/test_copy.py", TESTS.format(factor=1))
    assert left_out(recorded) == []


@pytest.mark.processes
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (SKIPPING, "tests/test_0.py was skipped as a whole"),
        ("import absent_module", "tests/test_0.py could not be collected"),
        (INTERRUPTED, "the run was stopped"),
        (EXITING, "the run was stopped"),
    ],
)
def test_a_file_that_ends_more_than_itself(
    recorded: pytest.Pytester, source: str, reason: str
) -> None:
    write(recorded, "tests/test_0.py", source)
    stopped = source in (INTERRUPTED, EXITING)
    said = left_out(recorded, "--continue-on-collection-errors", apart=stopped)
    assert any(reason in line for line in said)
    assert pruned(recorded, recorded.path / "log.json") == 0


@pytest.mark.processes
def test_a_worker_that_dies(recorded: pytest.Pytester) -> None:
    write(recorded, "tests/test_z.py", DYING)
    said = left_out(recorded, "-n1", apart=True)
    assert "pytest-xdist's worker gw0 never said what it left out" in said
    assert "not run to the end: tests/test_z.py::test_it" in said
    assert pruned(recorded, recorded.path / "log.json") == 0


def test_goldens_that_the_run_did_not_look_at(suite: pytest.Pytester) -> None:
    """Recorded with --golden-auto, run without: in no log, and in use all the same."""
    suite.makepyfile(
        """
        import keras, numpy as np

        def test_auto():
            keras.layers.ReLU()(np.ones((2, 2), "float32"))

        def test_fixture(golden_tensors):
            golden_tensors.check("x", 1.0)
        """
    )
    assert suite.runpytest_inprocess("--golden-auto", "--update-goldens").ret == 0
    (reason,) = left_out(suite)
    assert reason.startswith("not judged, in spite of goldens: ")
    assert reason.endswith("::test_auto")
    assert pruned(suite, suite.path / "log.json") == 0
    assert left_out(suite, "--golden-auto") == []


def test_a_log_that_does_not_tell(recorded: pytest.Pytester) -> None:
    """As versions before wrote it."""
    left_out(recorded)
    log = recorded.path / "log.json"
    document = json.loads(log.read_text())
    del document["left_out"]
    log.write_text(json.dumps(document))
    (recorded.path / "tests/test_b.py").unlink()
    assert pruned(recorded, log) == 0


def test_one_whole_run_does_not_vouch_for_a_partial_one(
    recorded: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out(recorded)
    (recorded.path / "log.json").rename(recorded.path / "whole.json")
    left_out(recorded, "-k", "deep")
    logs = [str(recorded.path / name) for name in ("whole.json", "log.json")]
    root = str(recorded.path / "goldens")
    assert cli.main(["prune", "--unused-by", *logs, "--yes", "--goldens-dir", root]) == 2
    said = capsys.readouterr().err
    assert f"{logs[1]} does not say which goldens are unused" in said
    assert "it is of a part of the suite (-k was given (deep))" in said


def test_settings_that_fit_nothing_are_named(suite: pytest.Pytester) -> None:
    """By a run of the whole suite; an old name may be absent, another release has it."""
    suite.makepyfile(dedent(TESTS).format(factor=1))
    suite.makeini(
        """
        [pytest]
        golden_tolerances =
            x: k=8
            float32: k=9
            blocks/*/fnn: k=32
        golden_aliases =
            y -> x
            old/* -> new/*
        """
    )
    options = ("-p", "no:randomly", "-p", "no:cacheprovider")
    suite.runpytest(*options, "--update-goldens")
    said = "\n".join(suite.runpytest(*options).outlines)
    assert "golden_tolerances: blocks/*/fnn: fits no tensor of this run" in said
    assert "golden_aliases: old/* -> new/*: fits no tensor of this run" in said
    assert said.count("fits no tensor") == 2
    part = "\n".join(suite.runpytest(*options, "-k", "case").outlines)
    assert "fits no tensor" not in part
