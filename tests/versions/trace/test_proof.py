from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.versions.trace.proof import check_expected, comes_from_overlay, expectation


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for place in ("overlay", "shadow"):
        (tmp_path / place / "subject").mkdir(parents=True)
        (tmp_path / place / "subject" / "__init__.py").touch()
    return tmp_path


def python(code: str, path: str, overlay: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **expectation({"subject": overlay})},
        capture_output=True,
        text=True,
    )


CHECK = "from pytest_keras_golden.versions.trace.proof import check_expected; check_expected()"


def test_the_overlay_first_on_the_path_passes(package: Path) -> None:
    path = f"{package / 'overlay'}:{package / 'shadow'}"
    assert python(CHECK, path, package / "overlay").returncode == 0
    assert python(f"import subject; {CHECK}", path, package / "overlay").returncode == 0


@pytest.mark.parametrize("before", ["", "import subject; "], ids=["to be imported", "imported"])
def test_a_shadow_is_refused(package: Path, before: str) -> None:
    path = f"{package / 'shadow'}:{package / 'overlay'}"
    done = python(before + CHECK, path, package / "overlay")
    assert done.returncode
    assert "StackError: subject comes from" in done.stderr
    assert "editable install" in done.stderr


def test_a_path_changed_after_the_import_does_not_fool_it(package: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(package / 'shadow')!r}); import subject; "
        f"sys.path.pop(0); {CHECK}"
    )
    assert python(code, str(package / "overlay"), package / "overlay").returncode


def test_a_package_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    assert "StackError" in python(CHECK, str(tmp_path), tmp_path).stderr


def test_without_expectation_nothing_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_GOLDEN_EXPECT", raising=False)
    check_expected()


def test_links_are_followed(package: Path) -> None:
    (package / "link").symlink_to(package / "overlay")
    file = str(package / "overlay" / "subject" / "__init__.py")
    folder = str(package / "link")
    assert comes_from_overlay({"file": file, "folder": folder, "loaded": True})


def test_the_check_raises_here_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in expectation({"json": tmp_path}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StackError, match="json comes from"):
        check_expected()
