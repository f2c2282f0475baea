"""Tests whose pytest-xdist worker dies: named as lost, in the log and in every report of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_keras_golden.report.runs import conclusion, read

pytestmark = pytest.mark.processes

SUITE = """
    import os
    import pytest

    @pytest.fixture
    def dies_before():
        {dies}

    @pytest.fixture
    def dies_after():
        yield
        {dies}

    def test_fine(golden_tensors):
        golden_tensors.check("x", 1.0)

    def test_dies(golden_tensors):
        golden_tensors.check("x", 1.0)
        {dies}

    def test_dies_before(dies_before, golden_tensors):
        golden_tensors.check("x", 1.0)

    def test_dies_after(dies_after, golden_tensors):
        golden_tensors.check("x", 1.0)

    def test_plain_dies():
        {dies}

    def test_last(golden_tensors):
        golden_tensors.check("x", 2.0)
"""
DIES = "os._exit(1)"


@pytest.fixture(autouse=True)
def soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker leaves behind does not depend on the backend: the one that starts soonest."""
    monkeypatch.setenv("KERAS_BACKEND", "numpy")


def run(suite: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    # One worker is quick to start; it is replaced each time that it dies.
    options = ("--golden-log=log.json", "-n1", "-p", "no:randomly")
    result = suite.runpytest_subprocess(*options, *args)
    return result, json.loads((suite.path / "log.json").read_text())


def outcomes(log: dict[str, Any]) -> dict[str, str]:
    return {test["nodeid"].rpartition("::")[2]: test["outcome"] for test in log["tests"]}


def test_tests_that_take_their_worker_along_are_lost_by_name(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE.format(dies=DIES))
    result, log = run(suite, "--update-goldens")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    lost = {"test_dies": "error", "test_dies_before": "error", "test_dies_after": "error"}
    assert outcomes(log) == {"test_fine": "recorded", "test_last": "recorded"} | lost
    reasons = [test["reason"] for test in log["tests"] if test["outcome"] == "error"]
    assert all(reason.startswith("lost: worker 'gw") for reason in reasons)
    result.stdout.re_match_lines([r"5 golden tests: .*3 error", r".*test_dies: lost: worker 'gw"])


def test_a_report_over_a_lost_test_does_not_hold(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE.format(dies="pass"))
    run(suite, "--update-goldens", "-k", "fine or last or test_dies")
    suite.makepyfile(SUITE.format(dies=DIES))
    result, log = run(suite, "--golden-report=report.md", "-k", "fine or test_dies_after")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(log) == {"test_fine": "passed", "test_dies_after": "error"}
    assert conclusion(read(log)) == "1 of 2 tests ended before anything was compared"
    report = (suite.path / "report.md").read_text(encoding="utf-8")
    assert "1 of 2 tests ended before anything was compared" in report
    assert "test_dies_after" in report


def test_every_test_may_be_golden_under_auto_and_a_group_is_no_part_of_its_name(
    suite: pytest.Pytester,
) -> None:
    suite.makepyfile(
        f"""
        import os
        import pytest

        @pytest.mark.xdist_group("together")
        def test_plain():
            {DIES}
        """
    )
    # Without end, pytest-xdist would run the group anew.
    _, log = run(suite, "--golden-auto", "--dist=loadgroup", "--max-worker-restart=0")
    assert outcomes(log) == {"test_plain": "error"}


def test_a_run_that_never_asked_has_nothing_of_ours(suite: pytest.Pytester) -> None:
    suite.makepyfile(f"import os\ndef test_plain(): {DIES}\ndef test_other(): pass\n")
    result = suite.runpytest_subprocess("-n1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "golden tensors" not in result.stdout.str()
