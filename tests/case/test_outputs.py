"""What a run leaves beside its verdict: reports, summaries, properties, unused goldens."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_keras_golden import cli
from pytest_keras_golden.store.codec import Golden

ONE = """
    import numpy as np

    def test_{name}(golden_tensors):
        golden_tensors.check("value", np.linspace(-1, 1, 64, dtype="float32"){change})
"""


@pytest.fixture
def recorded(suite: pytest.Pytester) -> pytest.Pytester:
    """Two files of one golden test each, both recorded."""
    suite.makepyfile(test_a=ONE.format(name="a", change=""))
    suite.makepyfile(test_b=ONE.format(name="b", change=""))
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=2)
    return suite


def drifted(suite: pytest.Pytester, *args: str) -> pytest.RunResult:
    suite.makepyfile(test_a=ONE.format(name="a", change=" * np.float32(1.01)"))
    result = suite.runpytest_inprocess(*args)
    result.assert_outcomes(passed=1, failed=1)
    return result


@pytest.mark.parametrize("name", ["deep/er/report.html", "report.md"])
def test_golden_report_by_suffix(recorded: pytest.Pytester, name: str) -> None:
    drifted(recorded, f"--golden-report={name}")
    text = (recorded.path / name).read_text(encoding="utf-8")
    assert "1 of 2 tests moved" in text
    assert "test_a.py::test_a" in text


def test_a_report_that_could_not_be_written_stops_before_any_test(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    result = recorded.runpytest_inprocess("--golden-report=report.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs plotly*", "*pytest-keras-golden[[]report[]]*"])
    result = recorded.runpytest_inprocess("--golden-report=report.pdf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    recorded.runpytest_inprocess("--golden-report=report.md").assert_outcomes(passed=2)


@pytest.mark.parametrize("option", ["--golden-log", "--golden-report"])
def test_an_output_that_cannot_be_written_is_said(recorded: pytest.Pytester, option: str) -> None:
    (recorded.path / "file").write_text("in the way")
    result = recorded.runpytest_inprocess(f"{option}=file/out.md")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["cannot write *file*", "Name a writable file*"])


@pytest.mark.processes
@pytest.mark.parametrize("option", ["--golden-log", "--golden-report"])
def test_an_output_without_room_leaves_the_last_one(recorded: pytest.Pytester, option: str) -> None:
    """The suite limits the size of files as late as a disk fills up."""
    out = recorded.path / "out.md"
    out.write_text("of the run before")
    recorded.makeconftest(
        """
        import resource, signal, pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        """
    )
    command = [sys.executable, "-m", "pytest", f"{option}={out}", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=recorded.path, check=False)
    assert done.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert f"cannot write {out}: File too large\nName a writable file" in done.stdout
    assert out.read_text() == "of the run before"
    assert not list(recorded.path.glob(".out.md*"))


@pytest.mark.parametrize("place", ["candidates", "output"])
def test_no_candidate_follows_a_planted_link(recorded: pytest.Pytester, place: str) -> None:
    outside = recorded.path / "outside"
    outside.mkdir()
    if place == "output":
        (recorded.path / "artifact").mkdir()
        (recorded.path / "artifact" / "test_a").symlink_to(outside)
        result = drifted(recorded, "--golden-output=artifact")
    else:
        cache = recorded.path / ".pytest_cache" / "d" / "keras-golden"
        cache.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(cache / "candidates", ignore_errors=True)
        (cache / "candidates").symlink_to(outside)
        result = drifted(recorded)
    result.stdout.fnmatch_lines(["*it leads to*"])
    assert not list(outside.iterdir())


def test_candidates_that_cannot_be_kept_hide_no_drift(recorded: pytest.Pytester) -> None:
    (recorded.path / "file").write_text("in the way")
    result = drifted(recorded, "--golden-output=file/artifact")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["DRIFT *", "*no candidate kept:*"])
    assert "choose another: --golden-output" in " ".join(result.stdout.str().split())


def test_without_pytests_cache_the_users_own_is_used(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not a folder below /tmp that others can name before."""
    monkeypatch.setenv("KERAS_GOLDEN_CACHE", str(tmp_path / "mine"))
    drifted(recorded, "-p", "no:cacheprovider")
    (candidate,) = (tmp_path / "mine").rglob("*.safetensors")
    assert "candidates" in candidate.parts
    assert list((tmp_path / "mine").rglob("*.lock"))


def test_a_cache_in_the_way_hides_no_drift(recorded: pytest.Pytester) -> None:
    (recorded.path / "blocked").write_text("no folder")
    blocked = ("-o", "cache_dir=blocked/cache", "-W", "ignore::pytest.PytestCacheWarning")
    assert recorded.runpytest_inprocess(*blocked).ret == 0
    result = drifted(recorded, *blocked)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["DRIFT *"])


def test_a_golden_under_another_versions_name_is_refused(recorded: pytest.Pytester) -> None:
    """Compared by its name it would vouch for a release that never made it."""
    for path in (recorded.path / "goldens").rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(path.name.split("-")[1], "3.0.1")))
    result = recorded.runpytest_inprocess()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*its name says keras 3.0.1*"])


def test_a_job_summary_is_added_where_github_asks_for_it(
    recorded: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    drifted(recorded)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n### Golden tensors: 1 of 2 tests moved")
    recorded.makepyfile(test_c="def test_plain(): pass")
    recorded.runpytest_inprocess("test_c.py").assert_outcomes(passed=1)
    assert summary.read_text(encoding="utf-8") == text


def test_junit_has_the_verdict_as_properties(recorded: pytest.Pytester) -> None:
    drifted(recorded, "--junit-xml=junit.xml", "-o", "junit_family=xunit1")
    tree = ElementTree.parse(recorded.path / "junit.xml")
    found = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in tree.iter("testcase")
    }
    assert found["test_a"]["golden.verdict"] == "drift"
    assert found["test_a"]["golden.first_drift"] == "value"
    assert found["test_b"]["golden.verdict"] == "identical"


UNUSED = "*1 golden that no test of this run used*"


def test_unused_goldens_are_named_when_all_tests_ran(recorded: pytest.Pytester) -> None:
    recorded.runpytest_inprocess().stdout.no_fnmatch_line(UNUSED)
    (recorded.path / "test_b.py").unlink()
    result = recorded.runpytest_inprocess()
    result.stdout.fnmatch_lines([UNUSED, "*test_b/test_b/keras-*"])


@pytest.mark.parametrize("part", [["-k", "a"], ["test_a.py"], ["test_a.py::test_a"], ["--lf"]])
def test_a_part_of_the_suite_calls_no_golden_unused(
    recorded: pytest.Pytester, part: list[str]
) -> None:
    if part == ["--lf"]:
        drifted(recorded)
    (recorded.path / "test_b.py").unlink()
    recorded.runpytest_inprocess(*part).stdout.no_fnmatch_line(UNUSED)


def test_a_broken_or_stopped_run_calls_no_golden_unused(recorded: pytest.Pytester) -> None:
    recorded.makepyfile(test_b="import absent_module")
    recorded.runpytest_inprocess("--continue-on-collection-errors").stdout.no_fnmatch_line(UNUSED)
    (recorded.path / "test_b.py").unlink()
    recorded.makepyfile(test_a=ONE.format(name="a", change=" * np.float32(1.01)"))
    recorded.runpytest_inprocess("-x").stdout.no_fnmatch_line(UNUSED)


def test_a_runs_candidates_become_goldens(recorded: pytest.Pytester) -> None:
    drifted(recorded, "--golden-log=log.json", "--golden-output=artifact")
    accepted = ["accept", "log.json", "--tests", "*::test_a", "--reason", "one percent more"]
    assert cli.main(accepted) == 0
    recorded.runpytest_inprocess().assert_outcomes(passed=2)
    (path,) = recorded.path.glob("goldens/test_a/test_a/*.safetensors")
    with Golden.open(path) as golden:
        assert golden.header.reason == "one percent more"
    assert cli.main(["verify"]) == 0
