"""Goldens under pytest-xdist and its neighbours: the same files, the same outcomes, one summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.processes

SUITE = """
    import numpy as np
    import pytest

    @pytest.mark.parametrize("size", range(1, 13))
    def test_sized(golden_tensors, size):
        golden_tensors.check("x", np.linspace(1, 2, size, dtype="float32"))

    @pytest.mark.xdist_group("together")
    @pytest.mark.parametrize("size", [1, 2], ids=["is@1", "is@2"])
    def test_grouped(golden_tensors, size):
        golden_tensors.check("x", np.random.rand(size))
"""


@pytest.fixture(autouse=True)
def soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which tests ran where does not depend on the backend: the one that starts soonest."""
    monkeypatch.setenv("KERAS_BACKEND", "numpy")


def run(suite: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, list[dict[str, Any]]]:
    result = suite.runpytest_subprocess("--golden-log=log.json", *args)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    return result, sorted(tests, key=lambda test: str(test["nodeid"]))


def files(root: Path) -> dict[str, bytes]:
    found = root.rglob("*.safetensors")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    "spread",
    [
        ("-n2",),
        pytest.param(("-n2", "--dist=loadgroup"), marks=pytest.mark.slow),
        pytest.param(("-n2", "--dist=loadfile"), marks=pytest.mark.slow),
        pytest.param(("-n2", "--dist=worksteal"), marks=pytest.mark.slow),
    ],
)
def test_workers_write_the_same_goldens(suite: pytest.Pytester, spread: tuple[str, ...]) -> None:
    suite.makepyfile(SUITE)
    alone, _ = run(suite, "-p", "no:randomly", "--update-goldens", "--goldens-dir=alone")
    alone.assert_outcomes(passed=14)
    shared, _ = run(suite, *spread, "--update-goldens", "--goldens-dir=shared")
    shared.assert_outcomes(passed=14)
    assert files(suite.path / "alone") == files(suite.path / "shared")
    assert len(files(suite.path / "alone")) == 14
    result, tests = run(suite, *spread, "--goldens-dir=alone")
    result.assert_outcomes(passed=14)
    result.stdout.fnmatch_lines(["*14 golden tests: 14 identical*"])
    _, expected = run(suite, "-p", "no:randomly", "--goldens-dir=alone")
    assert tests == expected


def test_a_group_behind_a_node_id_is_no_part_of_the_name(suite: pytest.Pytester) -> None:
    """As pytest-xdist appends it under `--dist=loadgroup`; pytest 9.2 no longer lets it."""
    suite.makepyfile(SUITE)
    _, before = run(suite, "-p", "no:randomly", "--update-goldens")
    suite.makeconftest(
        """
        import pytest

        class Grouped(pytest.Function):
            @property
            def nodeid(self):
                return super().nodeid + "@together"

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.get_closest_marker("xdist_group"):
                    item.__class__ = Grouped
        """
    )
    result, tests = run(suite, "-p", "no:randomly")
    result.stdout.fnmatch_lines(["*14 golden tests: 14 identical*"])
    assert [test["nodeid"] for test in tests] == [test["nodeid"] for test in before]


def test_workers_add_nothing_to_a_job_summary(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = suite.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    suite.makepyfile(SUITE)
    run(suite, "-n2", "--update-goldens")
    assert summary.read_text(encoding="utf-8").count("### Golden tensors: ") == 1


def test_a_rerun_starts_anew(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        from pathlib import Path

        def test_second_try(golden_tensors):
            golden_tensors.check("x", 1.0)
            first = Path("tried")
            if not first.exists():
                first.touch()
                assert False, "the first try"
        """
    )
    result, (test,) = run(suite, "--reruns=1", "--update-goldens")
    result.stdout.fnmatch_lines(["*1 passed*1 rerun*"])
    assert test["outcome"] == "recorded"


def test_failed_tests_alone_are_run_again_by_workers(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    run(suite, "--update-goldens")
    suite.makepyfile(SUITE.replace("linspace(1, 2, size", "linspace(1, 2 + (size == 7), size"))
    result, tests = run(suite, "-n2", "--maxfail=1")
    assert {test["nodeid"][-8:] for test in tests if test["outcome"] == "failed"} == {"sized[7]"}
    assert "no test of this run used" not in result.stdout.str()
    result, (again,) = run(suite, "-n2", "--lf")
    assert (again["outcome"], again["first_drift"]) == ("failed", "x")
    assert "no test of this run used" not in result.stdout.str()
    result, (accepted,) = run(suite, "-n2", "--lf", "--update-goldens")
    assert accepted["outcome"] == "recorded"
    result, tests = run(suite, "-n2")
    result.stdout.fnmatch_lines(["*14 golden tests: 14 identical*"])


@pytest.mark.parametrize("spread", [(), ("-n2",)])
def test_a_test_that_runs_out_of_time_writes_nothing(
    suite: pytest.Pytester, spread: tuple[str, ...]
) -> None:
    suite.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.timeout(2, method="signal", func_only=True)
        def test_slow(golden_tensors):
            golden_tensors.check("x", 1.0)
            time.sleep(60)

        def test_next(golden_tensors):
            golden_tensors.check("x", 2.0)
        """
    )
    result, (following, slow) = run(suite, "--update-goldens", *spread)
    result.assert_outcomes(passed=1, failed=1)
    assert (following["outcome"], slow["outcome"]) == ("recorded", "failed")
    assert "Timeout" in slow["reason"]
    assert len(files(suite.path)) == 1


def test_reseeding_and_shuffling_change_no_golden(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import numpy as np
        import pytest

        @pytest.mark.parametrize("case", range(3))
        def test_noise(golden_tensors, case):
            golden_tensors.check("x", np.random.rand(4))
        """
    )
    run(suite, "-p", "no:randomly", "--update-goldens")
    for seed in (1, 2):
        result, _ = run(suite, f"--randomly-seed={seed}")
        result.stdout.fnmatch_lines([f"*randomly-seed={seed}*", "*3 golden tests: 3 identical*"])


def test_a_narrowed_run_names_no_unused_goldens(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    run(suite, "--update-goldens")
    suite.makepyfile(SUITE.replace("test_grouped", "test_renamed"))
    result, _ = run(suite, "-k", "sized")
    assert "no test of this run used" not in result.stdout.str()
    result, _ = run(suite, "-x", "-p", "no:randomly")
    assert "no test of this run used" not in result.stdout.str()
    result, _ = run(suite, "-n2")
    result.stdout.fnmatch_lines(["*2 goldens that no test of this run used*"])
