"""Bad input at the edge: one clear message with the fix, pytest's exit code, nothing written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_keras_golden.config import OPTIONS

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


@pytest.mark.parametrize(
    "option",
    [entry.flag for entry in OPTIONS if entry.flag and not entry.is_switch],
)
@pytest.mark.parametrize("value", ["", " "])
def test_an_option_without_a_value_is_no_default(
    suite: pytest.Pytester, option: str, value: str
) -> None:
    """As of `--keras-versions=$VERSIONS` where nobody set the variable."""
    suite.makepyfile(TEST)
    result = suite.runpytest_inprocess(f"{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument {option}: *"])


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


def test_without_an_ini_file_goldens_are_beside_the_tests(suite: pytest.Pytester) -> None:
    """However pytest is called from there: its rootdir is the folder it is called in."""
    (suite.path / "tox.ini").unlink()
    suite.makepyfile(TEST)
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=1)
    assert list((suite.path / "goldens").rglob("*.safetensors"))
    for arguments in ([], ["."], [next(suite.path.glob("test_*.py"))]):
        suite.runpytest_inprocess(*arguments).assert_outcomes(passed=1)


BROKEN = "import no_such_module_of_anybody"


@pytest.mark.parametrize(
    ("source", "options", "ours"),
    [
        (f"import keras\n{BROKEN}", [], False),
        (f"import keras\n{BROKEN}\ndef test(golden_tensors): ...", [], True),
        (f"import keras\n{BROKEN}", ["--golden-auto"], True),
    ],
)
def test_what_cannot_be_collected_concerns_us_where_somebody_asked(
    suite: pytest.Pytester, source: str, options: list[str], ours: bool
) -> None:
    suite.makepyfile(source)
    result = suite.runpytest_inprocess(*options)
    result.assert_outcomes(errors=1)
    assert ("golden tensors" in result.stdout.str()) == ours


@pytest.mark.parametrize("backend", ["", "jxa"])
def test_without_a_backend_one_line_says_what_to_set(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """In an environment whose TensorFlow cannot be imported, whether or not it is installed."""
    suite.mkpydir("tensorflow").joinpath("__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\")"
    )
    suite.makepyfile("import keras\n" + textwrap.dedent(TEST))
    monkeypatch.setenv("PYTHONPATH", str(suite.path), prepend=os.pathsep)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    if not backend:
        monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", str(suite.path))
    result = suite.runpytest_subprocess()
    said = [line for line in result.outlines if "export KERAS_BACKEND=jax" in line]
    assert len(said) == 1
    assert "KERAS_BACKEND='jxa' is no" in said[0] if backend else "No module named" in said[0]


WRAPPED = """
    import keras
    import numpy as np

    class Broken(keras.layers.Layer):
        def call(self, x):
            raise ValueError("the line that tells\\nand more")

    def test_wrapped(golden_tensors):
        Broken()(np.ones((1, 2)))
"""


def test_of_an_error_that_keras_wraps_the_line_that_tells_is_kept(suite: pytest.Pytester) -> None:
    suite.makepyfile(WRAPPED)
    log = suite.path / "log.json"
    suite.runpytest_inprocess(f"--golden-log={log}").assert_outcomes(failed=1)
    (test,) = json.loads(log.read_text())["tests"]
    assert test["reason"] == "ValueError: the line that tells (in Broken.call())"


def run_with_backend(folder: Path, backend: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--update-goldens", "--golden-log=log.json"],
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
    assert "export KERAS_BACKEND=jax" in done.stdout
    assert goldens() == []
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert test["reason"].startswith("KERAS_BACKEND='theano' is no Keras backend")
    assert "export KERAS_BACKEND=jax" in test["reason"]


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


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--update-golden", "did you mean: --update-goldens for --update-golden"),
        ("--golden-raport=r.md", "did you mean: --golden-report for --golden-raport"),
        ("--no-such-thing", None),
    ],
)
def test_a_mistyped_option_is_named_with_the_nearest(
    suite: pytest.Pytester, argument: str, said: str | None
) -> None:
    result = suite.runpytest_subprocess(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*unrecognized arguments: {argument}"])
    told = [line.strip() for line in result.errlines if "did you mean" in line]
    assert told == ([said] if said else [])


def test_an_option_of_somebody_else_is_none_of_ours_mistyped(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        def pytest_addoption(parser):
            parser.addoption("--update-golden", action="store_true")
        """
    )
    suite.makepyfile("def test_runs(request): assert request.config.option.update_golden")
    suite.runpytest_inprocess("--update-golden").assert_outcomes(passed=1)


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
