"""Bad input at the edge: one clear message with the fix, pytest's exit code, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

Goldens = Callable[[], list[str]]

TEST = """
    def test_it(golden_tensors):
        golden_tensors.check("x", 1.0)
"""


@pytest.mark.parametrize(
    ("ini", "complaint"),
    [
        ("golden_tolerance = bfloat16: k=5", "*unknown ini key 'golden_tolerance'*"),
        ("golden_tolerances = bfloat16: k=-5", "*non-negative finite*"),
        ("golden_tolerances = bfloat16: k=nan", "*non-negative finite*"),
        ("golden_tolerances = bfloat16: loose", "*not a tolerance*"),
        ("golden_max_size = big", "*no size*"),
    ],
)
def test_bad_ini(suite: pytest.Pytester, goldens: Goldens, ini: str, complaint: str) -> None:
    suite.makeini(f"[pytest]\n{ini}\n")
    suite.makepyfile(TEST)
    result = suite.runpytest_inprocess("--update-goldens")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])
    assert goldens() == []


def test_an_unknown_key_given_by_override(suite: pytest.Pytester) -> None:
    suite.makepyfile(TEST)
    result = suite.runpytest_inprocess("-o", "golden_sed=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*golden_sed*", "*golden_seed*"])


@pytest.mark.parametrize("marker", ["'three'", "'>=3', baseline='x'", "'>=3', since='3'"])
def test_bad_marker(suite: pytest.Pytester, goldens: Goldens, marker: str) -> None:
    suite.makepyfile(
        f"""
        import pytest

        @pytest.mark.keras_versions({marker})
        def test_it(golden_tensors):
            golden_tensors.check("x", 1.0)
        """
    )
    result = suite.runpytest_inprocess("--update-goldens")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it*keras_versions*"])
    assert goldens() == []


@pytest.mark.parametrize("tolerance", ["-1", "float('nan')", "'much'", "{'k': 1, 'rtol': 1}"])
def test_bad_tolerance_argument(suite: pytest.Pytester, goldens: Goldens, tolerance: str) -> None:
    suite.makepyfile(
        f"""
        def test_it(golden_tensors):
            golden_tensors.check("x", 1.0, tolerance={tolerance})
        """
    )
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigError*toleran*"])
    assert goldens() == []


def test_update_in_ci(
    suite: pytest.Pytester, goldens: Goldens, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(TEST)
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest_inprocess("--update-goldens")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--update-goldens-in-ci*"])
    assert goldens() == []
    suite.runpytest_inprocess("--update-goldens", "--update-goldens-in-ci").assert_outcomes(
        passed=1
    )
    assert len(goldens()) == 1


def test_no_place_for_goldens(suite: pytest.Pytester) -> None:
    (suite.path / "tox.ini").unlink()
    suite.makepyfile(TEST)
    result = suite.runpytest_inprocess("--update-goldens")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--goldens-dir*"])


def run_with_backend(folder: Path, backend: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--update-goldens"],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.processes
def test_unknown_backend(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile(TEST)
    done = run_with_backend(suite.path, "theano")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "KERAS_BACKEND='theano' is no Keras backend" in done.stdout
    assert "jax, torch, tensorflow, numpy" in done.stdout
    assert goldens() == []


@pytest.mark.processes
def test_no_backend_installed(suite: pytest.Pytester, goldens: Goldens) -> None:
    """An import hook hides jax, as on a machine that never had it."""
    suite.makepyfile(TEST)
    suite.makeconftest(
        """
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "jax":
                    raise ModuleNotFoundError("No module named 'jax'", name="jax")

        sys.meta_path.insert(0, Hidden())
        """
    )
    done = run_with_backend(suite.path, "jax")
    assert "pip install jax" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert goldens() == []


def recorded(suite: pytest.Pytester) -> Path:
    suite.makepyfile(TEST)
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=1)
    (path,) = (suite.path / "goldens").rglob("*.safetensors")
    return path


FIXES = {"git-lfs pointer": "*git lfs pull*", "wrong schema": "*record it again*"}

BAD_BYTES = {
    "empty": lambda raw: b"",
    "truncated": lambda raw: raw[:-3],
    "oversized header": lambda raw: (1 << 60).to_bytes(8, "little") + raw[8:],
    "text": lambda raw: b"not a golden at all, but long enough to be one",
    "git-lfs pointer": lambda raw: (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 9\n"
    ),
    "wrong schema": lambda raw: raw.replace(b'\\"schema\\":1', b'\\"schema\\":7'),
}


@pytest.mark.parametrize("kind", BAD_BYTES)
def test_a_bad_golden_fails_and_is_left_alone(suite: pytest.Pytester, kind: str) -> None:
    path = recorded(suite)
    raw = path.read_bytes()
    bad = BAD_BYTES[kind](raw)
    assert bad != raw
    path.write_bytes(bad)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{path.name}*"])
    result.stdout.fnmatch_lines([FIXES.get(kind, "*restore*")])
    assert path.read_bytes() == bad


def test_a_golden_that_leads_out_of_the_folder(suite: pytest.Pytester, tmp_path: Path) -> None:
    path = recorded(suite)
    outside = tmp_path / "outside.safetensors"
    path.replace(outside)
    path.symlink_to(outside)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*outside*"])


def test_a_read_only_folder(suite: pytest.Pytester) -> None:
    """Root ignores permissions: a file where the folder should be refuses everybody."""
    suite.makepyfile(TEST)
    (suite.path / "goldens").write_text("in the way")
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*goldens*"])
    assert (suite.path / "goldens").read_text() == "in the way"


@pytest.mark.parametrize("value", ["1 + 2j", "np.array(['a'])", "np.array([object()])"])
def test_what_cannot_be_stored(suite: pytest.Pytester, goldens: Goldens, value: str) -> None:
    suite.makepyfile(
        f"""
        import numpy as np

        def test_it(golden_tensors):
            golden_tensors.check("odd", {value})
        """
    )
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(failed=1)
    assert goldens() == []


def test_a_missing_baseline_lists_what_exists(suite: pytest.Pytester) -> None:
    recorded(suite)
    result = suite.runpytest_inprocess("--golden-baseline", "3.0.0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*no golden to compare with*", f"*keras-3*{os.environ['KERAS_BACKEND']}-cpu*"]
    )


def test_a_vacuous_tolerance_is_refused(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile(
        """
        import numpy as np

        def test_it(golden_tensors):
            x = np.linspace(-1, 1, 32, dtype="float32")
            golden_tensors.check("x", x, tolerance={"atol": 5.0, "rtol": 0})
        """
    )
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*vacuous*"])
    result.stdout.fnmatch_lines(["tighten the tolerance:", "*tolerance=*", "then record it:"])
    # The command that has just failed accepts nothing.
    result.stdout.no_fnmatch_line("accept the change:*")
    assert goldens() == []


def test_a_usage_error_fits_the_terminal(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = suite.runpytest_inprocess("-o", "golden_sed=3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert max(map(len, result.errlines)) <= 80
    assert "Did you mean 'golden_seed'?" in result.stderr.str()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "golden_auto=yess"], "golden_auto: *yess*Write true or false."),
        (["-o", "golden_systematic=wran"], "golden_systematic = 'wran'*Did you mean 'warn'?*"),
        (["--update-goldens-mode=chnged"], "*--update-goldens-mode*Did you mean 'changed'?*all*"),
        (["--golden-twins=latr"], "*--golden-twins*Did you mean 'later'?*"),
    ],
)
def test_a_mistyped_setting_is_named_with_the_nearest_value(
    suite: pytest.Pytester, arguments: list[str], said: str
) -> None:
    result = suite.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = " ".join(" ".join(result.errlines).split())
    assert fnmatchcase(errors, f"*{said}*"), errors


@pytest.mark.processes
@pytest.mark.parametrize(
    "line", ["required_plugins = pytest-keras-golden", "addopts = --strict-markers"]
)
@pytest.mark.parametrize("how", ["disabled", "not loaded"])
def test_a_run_without_the_plugin_is_refused_where_the_ini_file_asks_for_it(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, line: str, how: str
) -> None:
    """The lines that docs/explanation/fail-closed.md advises: we cannot speak where we are not."""
    suite.makeini(f"[pytest]\n{line}\n")
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.keras_versions(">=3.5")
        def test_it():
            pass
        """
    )
    arguments = ["-p", "no:keras_golden"] if how == "disabled" else []
    if how == "not loaded":
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = suite.runpytest_subprocess(*arguments, "-p", "no:cacheprovider")
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED)
